// Norm of rows that stages edit: the stream is changed, corrected for masked edges and normalised in one kernel, by the
// workgroup that owns the row. A row that nothing changes gets the bits of the plain kernel: the sums are taken in the
// same order.
//
// A row is made in this order:
//   1. `delta`, if the residual add was moved here (row stages at attn_out, mlp_out): its stages, then + `input`; else
//      `input`
//   2. stages at resid_post of the block before, or at resid_mid
//   3. stages at resid_pre; then the row is written to `stream`, from where everything after reads it
//   4. the corrections of this variant's destination (stages/edge_mask.wgsl)
//   5. the norm (norm/row.wgsl), then the stages at attn_norm or mlp_norm.
// Variant 0 is never corrected; the others are the inputs of destinations with masked edges. All variants of a row are
// made at once, each from the unedited input: no workgroup waits for another. The first variant of a row is its owner,
// which writes what all share.
//
// `scales`: some norm of the model carries stages of single elements (stages/neuron_scale.wgsl), in its groups or at the
// norm. RANKS: stages/affine.wgsl.
//
// Slots are rows of the source table `sources`, NONE if there is none. Private slots: one per variant, for what the shared
// slots only get in this dispatch.
//
// Bindings: 1 input, 2 params, 3 delta, 4 output [variants][rows][D4], 5 stream, 8 capture, 9 stage table, 10 sources,
// 12 norm/overflow.wgsl.
// Parallel: x rows, y variants; THREADS threads per row, neighbours on neighbouring vec4s.
// Summation class: that of norm/norm.wgsl.
import package::lib::step::step;
import package::lib::tap::tap;
import package::norm::edited_row::{input, output, params, row_at, RowPlace};
@if(sourced) import package::norm::edited_row::sources;
import package::norm::meet::total;
@if(flagged) import package::norm::overflow::note;
@if(flagged && sourced) import package::norm::overflow::note_lost;
import package::norm::overflow::scale_within;
@if(sourced) import package::norm::overflow::{is_lost, not_a_number};
import package::norm::row::lane_sum;
import package::stages::affine::affine;
@if(sourced) import package::stages::edge_mask::{edge_mask, SourceRow};
@if(scales) import package::stages::neuron_scale::{scaled, scaled_by_all, Scaling};
import package::stages::table::{stages, NONE};
@if(scales) import package::stages::table::shares_of;
@if(programs) import package::stages::table::program_of;
import constants::{D, D4, THREADS};

@if(quads) enable subgroups;

struct Args {
  gain: u32,           // in vec4s of params
  @if(layer) bias: u32,
  eps: f32,
  @if(flagged) rank: u32, // norm/overflow.wgsl
  record_stride: u32,  // records of a row
  variant_stride: u32, // vec4s from one variant of the output to the next
  first_variant: u32,
  @if(programs) program: u32,      // the norm's place in the directory of a program: groups, list_norm, mask
  @if(!programs) groups: vec4u,    // vec4 of the stage table; groups at delta, then those of 2., then those of 3.
  has_delta: u32,      // 1: the row begins with `delta`
  tracks_delta: u32,   // 1: changes of delta belong to no source
  writes_stream: u32,
  @if(sourced) slot_stride: u32,   // vec4s from one slot of the source table to the next
  @if(sourced) delta_slot: u32,    // takes delta as a source
  @if(sourced) private_delta: u32, // the first private slot of delta
  @if(sourced) e_in: u32,          // E, what no source wrote, before and after this norm
  @if(sourced) e_out: u32,
  @if(sourced) private_e: u32,
  @if(sourced && !programs) mask: vec4u, // Variants of stages/edge_mask.wgsl, and the mask's record
  @if(scales && !programs) list_norm: vec4u, // stages at the norm: stages/neuron_scale.wgsl
  @if(tap_delta) tap_delta: u32,
  @if(tap_resid_post) tap_resid_post: u32,
  @if(tap_resid_pre) tap_resid_pre: u32,
  @if(tap_out) tap_out: u32,
}

@group(1) @binding(0) var<uniform> args: Args;
@if(deltas) @group(1) @binding(3) var<storage, read> delta: array<vec4f>;
@if(!outs) @group(1) @binding(5) var<storage, read_write> stream: array<vec4f>;

// Stages that act on a row, one after the other. src/compile/stage-layout.ts lists the same fields as these structs, and
// the lint compares them.
struct RowGroup {
  form: u32,    // GROUP_ROW
  entries: u32, // the first Entry of stages/affine.wgsl
  count: u32,   // stages
  reads: u32,   // coordinates of all of them
}

fn row_group_of(words: vec4u) -> RowGroup {
  return RowGroup(words.x, words.y, words.z, words.w);
}

@if(scales) struct ElementGroup {
  form: u32,  // GROUP_ELEMENTS
  stage: u32, // as in Scaling of stages/neuron_scale.wgsl
  scale: u32,
  shift: u32,
}

@if(scales) fn element_group_of(words: vec4u) -> ElementGroup {
  return ElementGroup(words.x, words.y, words.z, words.w);
}

const GROUP_ELEMENTS = 0u;
const GROUP_ROW = 1u;

// Parts of the groups: those at delta, of 2. and of 3. Those of 2. and 3. are one part unless the row is captured between
// them. Software devices go through all code of a part, whether or not its groups are there.
@if(deltas) const FIRST_PART = 0u;
@else const FIRST_PART = 1u;
@if(tap_resid_post) const PARTS = 3u;
@else const PARTS = 2u;

// 1 for the lanes of the last vec4 that lie within the width, 0 for its padding.
const LAST_LANES = select(vec4f(0.0), vec4f(1.0), vec4u(0u, 1u, 2u, 3u) < vec4u(D - 4u * (D4 - 1u)));

fn row_total() -> u32 {
  @if(outs) return step.out_count;
  @else return step.row_count;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) tid: u32) {
  let row = group.x;
  if (row >= row_total()) {
    return;
  }
  let owner = group.y == 0u;
  let variant = args.first_variant + group.y;
  @if(outs) let step_row = step.outs[row].row;
  @else let step_row = row;
  let records = step_row * args.record_stride;
  @if(programs) let program = program_of(records) + args.program;
  @if(programs) let groups = stages[program];
  @else let groups = args.groups;
  let in_at = step_row * D4;
  let at = variant * args.variant_stride + row * D4;

  // what no source wrote so far, which the stages add to
  var track_at = NONE;
  @if(tracked) {
    if (args.e_out != NONE && (owner || args.private_e != NONE)) {
      track_at = select(args.private_e + variant, args.e_out, args.private_e == NONE) * args.slot_stride + in_at;
      for (var i = tid; i < D4; i += THREADS) {
        var e = vec4f();
        if (args.e_in != NONE) {
          e = sources[args.e_in * args.slot_stride + in_at + i];
        }
        sources[track_at + i] = e;
      }
    }
  }

  // 1. to 3. One call of run_groups in a loop: compilers copy it to each place that calls it, and it is most of the kernel.
  var place = RowPlace(in_at, at, false);
  @if(deltas) var first = groups.x;
  @else var first = groups.x + groups.y;
  // By data: the groups of a program, from the stage table, the same in all threads.
  for (var part = FIRST_PART; part < PARTS; part++) {
    let is_delta = part == 0u && args.has_delta != 0u;
    @if(deltas) {
      if (is_delta) {
        for (var i = tid; i < D4; i += THREADS) {
          output[at + i] = delta[in_at + i];
        }
        place.moved = true;
      }
    }
    @if(deltas) let part_track = select(track_at, NONE, part == 0u && args.tracks_delta == 0u);
    @else let part_track = track_at;
    var listed = groups[1u + part];
    @if(!tap_resid_post) { if (part == 1u) { listed += groups.w; } }
    let count = select(listed, 0u, part == 0u && !is_delta);
    place.moved = run_groups(first, count, records, place, part_track, tid);
    first += listed;
    @if(deltas) {
      // 1. the residual add
      if (is_delta) {
        for (var i = tid; i < D4; i += THREADS) {
          let x = output[at + i];
          // site: attn_out or mlp_out
          @if(tap_delta) { if (owner) { tap(args.tap_delta, step_row, D4, i, x); } }
          @if(sourced) keep_delta(owner, variant, in_at, i, x);
          output[at + i] = input[in_at + i] + x;
        }
      }
    }
    // 2. resid_post of the block before, or resid_mid
    @if(tap_resid_post) { if (part == 1u) { tap_row(args.tap_resid_post, row, owner, place, tid); } }
    // 3. resid_pre, or resid_mid
    @if(tap_resid_pre) { if (part == PARTS - 1u) { tap_row(args.tap_resid_pre, row, owner, place, tid); } }
  }
  // Before edge masks correct it; if there are none, the norm's first pass writes it.
  @if(!outs && sourced) {
    if (owner && args.writes_stream != 0u) {
      for (var i = tid; i < D4; i += THREADS) {
        stream[in_at + i] = row_at(place, i);
      }
    }
  }
  @if(tracked) {
    if (owner && args.e_out != NONE && args.private_e != NONE) {
      for (var i = tid; i < D4; i += THREADS) {
        sources[args.e_out * args.slot_stride + in_at + i] = sources[track_at + i];
      }
    }
  }

  // 4. the edge mask
  var most = 0.0;
  @if(sourced) {
    @if(programs) let mask = stages[program + 2u];
    @else let mask = args.mask;
    if (mask.x != NONE) {
      let sources_at = SourceRow(in_at, args.slot_stride);
      let mixed = edge_mask(mask.x, variant, records + mask.y, place, sources_at, tid);
      place.moved = place.moved || mixed.changed;
      most = mixed.most;
    }
  }

  // 5. the norm. The head reads one variant, and that is the final norm; other norms are captured uncorrected.
  @if(outs) let is_captured = owner;
  @else let is_captured = variant == 0u;
  @if(scales && programs) let list = stages[program + 1u];
  @if(scales && !programs) let list = args.list_norm;
  @if(!scales) let list = vec4u(NONE);
  norm_row(row, is_captured, list, records, place, most, tid);
}

// Keeps delta as a source, for the norms after this one, and for this variant of this one.
@if(sourced && deltas) fn keep_delta(owner: bool, variant: u32, in_at: u32, i: u32, x: vec4f) {
  if (owner && args.delta_slot != NONE) {
    sources[args.delta_slot * args.slot_stride + in_at + i] = x;
  }
  if (args.private_delta != NONE) {
    sources[(args.private_delta + variant) * args.slot_stride + in_at + i] = x;
  }
}

@if(tap_resid_post || tap_resid_pre) fn tap_row(offset: u32, row: u32, owner: bool, place: RowPlace, tid: u32) {
  if (owner) {
    for (var i = tid; i < D4; i += THREADS) {
      tap(offset, row, D4, i, row_at(place, i));
    }
  }
}

// Runs `count` groups of stages on a row; returns whether the row lies in the output then.
fn run_groups(
  first: u32, count: u32, records: u32, start: RowPlace, track_at: u32, tid: u32,
) -> bool {
  var place = start;
  // By data: the groups of a program, from the stage table, the same in all threads.
  for (var g = 0u; g < count; g++) {
    let words = stages[first + g];
    @if(scales) {
      // By data: the form of a stage, from the stage table, the same in all threads.
      if (words.x == GROUP_ELEMENTS) {
        place.moved = scale_elements(element_group_of(words), records, place, track_at, tid);
        continue;
      }
    }
    let group = row_group_of(words);
    place.moved = affine(group.entries, group.count, group.reads, records, place, track_at, tid);
  }
  return place.moved;
}

// Runs one stage of single elements on a row; returns whether the row lies in the output then.
@if(scales) fn scale_elements(group: ElementGroup, records: u32, place: RowPlace, track_at: u32, tid: u32) -> bool {
  let s = shares_of(group.stage, records);
  if (s.x == 0.0) {
    return place.moved;
  }
  let by = Scaling(group.stage, group.scale, group.shift, NONE);
  for (var i = tid; i < D4; i += THREADS) {
    let x = row_at(place, i);
    let edited = scaled(by, i, s, x);
    output[place.output_at + i] = edited;
    @if(tracked) {
      if (track_at != NONE) {
        sources[track_at + i] += edited - x;
      }
    }
  }
  return true;
}

// Vec4 `i` of a row, which every row passes through once before it is normalised.
fn first_read(place: RowPlace, i: u32) -> vec4f {
  let v = row_at(place, i);
  @if(!outs && !sourced) {
    if (args.writes_stream != 0u) {
      stream[place.input_at + i] = v;
    }
  }
  return v;
}

// `most`: the largest of what an edge mask added and subtracted in this thread's columns.
fn norm_row(row: u32, is_captured: bool, list: vec4u, records: u32, place: RowPlace, most: f32, tid: u32) {
  // mean
  var mean = 0.0;
  var squares = vec4f();
  @if(layer) {
    var sum = vec4f();
    for (var i = tid; i < D4; i += THREADS) {
      sum += first_read(place, i);
    }
    mean = total(tid, lane_sum(sum)) / f32(D);
    // variance
    for (var i = tid; i < D4; i += THREADS) {
      let v = (row_at(place, i) - mean) * select(vec4f(1.0), LAST_LANES, i == D4 - 1u);
      squares = fma(v, v, squares);
    }
  } @else {
    // mean square
    for (var i = tid; i < D4; i += THREADS) {
      let v = first_read(place, i);
      squares = fma(v, v, squares);
    }
  }
  let sum_of_squares = total(tid, lane_sum(squares));
  @if(flagged) { if (tid == 0u) { note(sum_of_squares, row, args.rank); } }
  var scale = scale_within(sum_of_squares, inverseSqrt(sum_of_squares / f32(D) + args.eps));
  @if(sourced) {
    if (is_lost(most, scale)) {
      @if(flagged) note_lost(row, args.rank);
      scale = not_a_number();
    }
  }

  // normalise
  @if(scales) var shares = vec2f();
  @if(scales) {
    if (list.x != NONE) {
      shares = shares_of(list.x, records);
    }
  }
  for (var i = tid; i < D4; i += THREADS) {
    let v = row_at(place, i);
    @if(layer) let plain = fma((v - mean) * scale, params[args.gain + i], params[args.bias + i]);
    @else let plain = v * scale * params[args.gain + i];
    var normed = plain;
    @if(scales) {
      if (list.x != NONE) {
        normed = scaled_by_all(list, shares, records, i, plain);
      }
    }
    // site: attn_norm or mlp_norm, of the uncorrected stream, or final_norm
    @if(tap_out) { if (is_captured) { tap(args.tap_out, row, D4, i, normed); } }
    output[place.output_at + i] = normed;
  }
}
