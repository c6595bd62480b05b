// Attention without workgroup memory or barriers: online softmax over the cache, for software devices.
//
// z[row, head] = Σ_j softmax_j(scale · q[row, head]·K[j]) · V[j] over the keys j that the row sees.
//
// Bindings: attention/bindings.wgsl.
// Parallel: one invocation owns (tile of rows, head, slice of ≤ 64 output dimensions); a tile is one row, or
// four with `rows4`. Nothing is shared, so heads wider than 64 compute their scores once per slice.
// Keys come in blocks of four, aligned at position 0: the four scores are one vec4, a q vec4 serves four keys
// and a K or V vec4 serves all rows of the tile. The price of a software device is loads, not arithmetic. Loops
// run between run-time bounds: lavapipe unrolls those with constant ones, and then compiles for 20 s, not 1 s.
//
// A tile may hold rows of several sequences. It is walked in runs of equal sequence; rows outside the run, and
// blocks outside a row's range, are masked, which leaves a row's state exactly as it was. So a row's bits
// depend on its own context alone, and tiles of one and of four agree bit for bit.
//
// Summation `attention_online4`: a score is four strided chains over ascending dimensions, added as
// (x + y) + (z + w); blocks of four ascend, each fades what came before and adds its keys in order.
import package::lib::step::step;
import package::attention::bindings::{args, edited_z, q, key4, value4, slots, z, GROUP, HEAD4, ROW4, SLOT4};
import package::attention::softmax::{first_visible, normalised, MASKED};
import constants::{HEADS, SLICES, SLICE4, TILE};
@if(tap_z) import package::lib::tap::tap;

// Online softmax of one row: the outputs of SLICE4 vec4s in named columns of matrices.
struct State {
  top: f32,   // largest score yet
  total: f32, // Σ exp(score − top)
  o0: mat4x4f,
  @if(columns5) o1: mat4x4f,
  @if(columns9) o2: mat4x4f,
  @if(columns13) o3: mat4x4f,
}

// One row of the tile while the run of rows start … end − 1 is walked: the keys it sees,
// `first > last` if it is not of the run.
struct Reader {
  q_at: u32,
  first: u32,
  last: u32,
}

fn reader(row: u32, head: u32, start: u32, end: u32) -> Reader {
  let position = step.rows[row].position;
  let first = select(0xffffffffu, first_visible(position, args.window), row >= start && row < end);
  return Reader(row * ROW4 + head * HEAD4, first, position);
}

fn across(v: vec4f) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}

// Takes in the scores of keys j … j+3 and returns their weights; masked keys weigh exactly 0, and a block
// without a visible key changes nothing.
fn weigh(state: ptr<function, State>, reader: Reader, j: u32, dots: vec4f) -> vec4f {
  let keys = vec4u(j, j + 1u, j + 2u, j + 3u);
  let seen = (keys >= vec4u(reader.first)) & (keys <= vec4u(reader.last));
  let scores = select(vec4f(MASKED), dots * args.scale, seen);
  let top = max((*state).top, max(max(scores.x, scores.y), max(scores.z, scores.w)));
  let fade = select(exp((*state).top - top), 1.0, (*state).top == top);
  let weights = select(vec4f(), exp(scores - top), seen);
  (*state).top = top;
  (*state).total = fma((*state).total, fade, across(weights));
  (*state).o0 = (*state).o0 * fade;
  @if(columns5) (*state).o1 = (*state).o1 * fade;
  @if(columns9) (*state).o2 = (*state).o2 * fade;
  @if(columns13) (*state).o3 = (*state).o3 * fade;
  return weights;
}

fn add_scaled(o: mat4x4f, weight: f32, v: mat4x4f) -> mat4x4f {
  let w = vec4f(weight);
  return mat4x4f(fma(w, v[0], o[0]), fma(w, v[1], o[1]), fma(w, v[2], o[2]), fma(w, v[3], o[3]));
}

// Columns `column` … `column + 3` of a slice of V, as many as the slice has. `column` is a literal at every
// call, so the guards are decided at compile time; the last slice of a ragged split re-reads its last column.
fn value(slot_at: u32, start: u32, column: u32) -> mat4x4f {
  var v = mat4x4f();
  v[0] = value4(slot_at + min(start + column, HEAD4 - 1u));
  if (column + 1u < SLICE4) { v[1] = value4(slot_at + min(start + column + 1u, HEAD4 - 1u)); }
  if (column + 2u < SLICE4) { v[2] = value4(slot_at + min(start + column + 2u, HEAD4 - 1u)); }
  if (column + 3u < SLICE4) { v[3] = value4(slot_at + min(start + column + 3u, HEAD4 - 1u)); }
  return v;
}

// Adds the value row of one key, loaded once, to each row of the tile by its own weight.
@if(!rows4) fn gather(slot_at: u32, start: u32, weight: f32, a: ptr<function, State>) {
  (*a).o0 = add_scaled((*a).o0, weight, value(slot_at, start, 0u));
  @if(columns5) (*a).o1 = add_scaled((*a).o1, weight, value(slot_at, start, 4u));
  @if(columns9) (*a).o2 = add_scaled((*a).o2, weight, value(slot_at, start, 8u));
  @if(columns13) (*a).o3 = add_scaled((*a).o3, weight, value(slot_at, start, 12u));
}

@if(rows4) fn gather4(
  slot_at: u32, start: u32, weight: vec4f,
  a: ptr<function, State>, b: ptr<function, State>, c: ptr<function, State>, d: ptr<function, State>,
) {
  let v0 = value(slot_at, start, 0u);
  (*a).o0 = add_scaled((*a).o0, weight.x, v0);
  (*b).o0 = add_scaled((*b).o0, weight.y, v0);
  (*c).o0 = add_scaled((*c).o0, weight.z, v0);
  (*d).o0 = add_scaled((*d).o0, weight.w, v0);
  @if(columns5) {
    let v1 = value(slot_at, start, 4u);
    (*a).o1 = add_scaled((*a).o1, weight.x, v1);
    (*b).o1 = add_scaled((*b).o1, weight.y, v1);
    (*c).o1 = add_scaled((*c).o1, weight.z, v1);
    (*d).o1 = add_scaled((*d).o1, weight.w, v1);
  }
  @if(columns9) {
    let v2 = value(slot_at, start, 8u);
    (*a).o2 = add_scaled((*a).o2, weight.x, v2);
    (*b).o2 = add_scaled((*b).o2, weight.y, v2);
    (*c).o2 = add_scaled((*c).o2, weight.z, v2);
    (*d).o2 = add_scaled((*d).o2, weight.w, v2);
  }
  @if(columns13) {
    let v3 = value(slot_at, start, 12u);
    (*a).o3 = add_scaled((*a).o3, weight.x, v3);
    (*b).o3 = add_scaled((*b).o3, weight.y, v3);
    (*c).o3 = add_scaled((*c).o3, weight.z, v3);
    (*d).o3 = add_scaled((*d).o3, weight.w, v3);
  }
}

// Stores a row's slice. A loop that shifts the columns along, not a store for each: a store costs a software
// device's compiler more than it costs the device.
fn finish(row: u32, head: u32, start: u32, state: State) {
  let end = min(start + SLICE4, HEAD4);
  var rest = state;
  for (var first = start; first < end; first += 4u) {
    for (var column = first; column < min(first + 4u, end); column++) {
      // site: attn_z
      let v = edited_z(row, head * HEAD4 + column, normalised(rest.o0[0], state.total));
      z[row * ROW4 + head * HEAD4 + column] = v;
      @if(tap_z) tap(args.tap_z, row, ROW4, head * HEAD4 + column, v);
      rest.o0 = mat4x4f(rest.o0[1], rest.o0[2], rest.o0[3], rest.o0[0]);
    }
    @if(columns5) rest.o0 = rest.o1;
    @if(columns9) rest.o1 = rest.o2;
    @if(columns13) rest.o2 = rest.o3;
  }
}

@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= HEADS * SLICES) { return; }
  let head = id.x / SLICES;
  let start = (id.x % SLICES) * SLICE4;
  let row = id.y * TILE;
  let end = min(row + TILE, step.row_count);
  let head_at = (head / GROUP) * HEAD4;

  var a: State;
  a.top = MASKED;
  @if(rows4) var b = a;
  @if(rows4) var c = a;
  @if(rows4) var d = a;

  // runs of rows of one sequence
  var run = row;
  while (run < end) {
    let run_start = run;
    let sequence = step.rows[run].sequence;
    var first = 0xffffffffu;
    var last = 0u;
    while (run < end && step.rows[run].sequence == sequence) {
      let position = step.rows[run].position;
      first = min(first, first_visible(position, args.window));
      last = max(last, position);
      run++;
    }
    let ra = reader(row, head, run_start, run);
    @if(rows4) let rb = reader(min(row + 1u, end - 1u), head, run_start, run);
    @if(rows4) let rc = reader(min(row + 2u, end - 1u), head, run_start, run);
    @if(rows4) let rd = reader(min(row + 3u, end - 1u), head, run_start, run);

    let table = sequence * args.slot_stride;
    for (var j = first & ~3u; j <= last; j += 4u) {
      let s0 = slots[table + j] * SLOT4 + head_at;
      let s1 = slots[table + min(j + 1u, last)] * SLOT4 + head_at;
      let s2 = slots[table + min(j + 2u, last)] * SLOT4 + head_at;
      let s3 = slots[table + min(j + 3u, last)] * SLOT4 + head_at;

      var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
      @if(rows4) var b0 = vec4f(); @if(rows4) var b1 = vec4f();
      @if(rows4) var b2 = vec4f(); @if(rows4) var b3 = vec4f();
      @if(rows4) var c0 = vec4f(); @if(rows4) var c1 = vec4f();
      @if(rows4) var c2 = vec4f(); @if(rows4) var c3 = vec4f();
      @if(rows4) var d0 = vec4f(); @if(rows4) var d1 = vec4f();
      @if(rows4) var d2 = vec4f(); @if(rows4) var d3 = vec4f();

      // scores
      for (var at = ra.q_at; at < ra.q_at + HEAD4; at++) {
        let i = at - ra.q_at;
        let k0 = key4(s0 + i);
        let k1 = key4(s1 + i);
        let k2 = key4(s2 + i);
        let k3 = key4(s3 + i);
        let qa = q[ra.q_at + i];
        a0 = fma(qa, k0, a0); a1 = fma(qa, k1, a1); a2 = fma(qa, k2, a2); a3 = fma(qa, k3, a3);
        @if(rows4) {
          let qb = q[rb.q_at + i];
          b0 = fma(qb, k0, b0); b1 = fma(qb, k1, b1); b2 = fma(qb, k2, b2); b3 = fma(qb, k3, b3);
          let qc = q[rc.q_at + i];
          c0 = fma(qc, k0, c0); c1 = fma(qc, k1, c1); c2 = fma(qc, k2, c2); c3 = fma(qc, k3, c3);
          let qd = q[rd.q_at + i];
          d0 = fma(qd, k0, d0); d1 = fma(qd, k1, d1); d2 = fma(qd, k2, d2); d3 = fma(qd, k3, d3);
        }
      }

      // weights
      var wa = weigh(&a, ra, j, vec4f(across(a0), across(a1), across(a2), across(a3)));
      @if(rows4) var wb = weigh(&b, rb, j, vec4f(across(b0), across(b1), across(b2), across(b3)));
      @if(rows4) var wc = weigh(&c, rc, j, vec4f(across(c0), across(c1), across(c2), across(c3)));
      @if(rows4) var wd = weigh(&d, rd, j, vec4f(across(d0), across(d1), across(d2), across(d3)));

      // values, key after key; rotating the vectors keeps every index static
      var slot_at = vec4u(s0, s1, s2, s3);
      for (var key = j; key < min(j + 4u, last + 1u); key++) {
        @if(rows4) gather4(slot_at.x, start, vec4f(wa.x, wb.x, wc.x, wd.x), &a, &b, &c, &d);
        @else gather(slot_at.x, start, wa.x, &a);
        slot_at = slot_at.yzwx;
        wa = wa.yzwx;
        @if(rows4) wb = wb.yzwx;
        @if(rows4) wc = wc.yzwx;
        @if(rows4) wd = wd.yzwx;
      }
    }
  }

  @if(!rows4) finish(row, head, start, a);
  @if(rows4) for (var next = row; next < end; next++) {
    finish(next, head, start, a);
    a = b;
    b = c;
    c = d;
  }
}
