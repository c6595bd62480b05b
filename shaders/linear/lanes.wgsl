// Matrix-vector product for GPUs, one to eight rows: 64 lanes go through K side by side and add up at the end.
//
// Parallel: a workgroup is two groups of 64 lanes; each group owns STRIPS_EACH neighbouring strips (four outputs each), lane
// l takes the blocks of four inputs l, l + 64, l + 128, …; x = groups of strips; y is 1, all rows are in the thread.
// Bindings: linear/operands.wgsl. A block is one mat4x4 of weights and one vec4 of inputs: 16 multiply-adds for five reads
// of 16 bytes at addresses that differ by constants, and quantised weights share scales. Adjacent lanes read adjacent
// blocks. A decode step is bound by the bytes of the weights: what counts is that enough loads are in flight on enough
// workgroups, and that little else is done for a weight (bench/kernels/linear.md). One strip per group makes twice as many
// workgroups, for matrices with few outputs.
//
// Then the 64 partial sums of a strip meet, row after row in the same workgroup memory. `quads`: four neighbours exchange
// theirs as a quad of a subgroup, and 16 quads meet after one barrier; else eight lanes add up eight sums each after one,
// and those meet after another.
// Inputs beyond the end of K are taken as 0 (`ragged`: K4 is not a multiple of 64).
//
// Conditions: rows_2, rows_4, rows_8: that many rows per thread, each includes the ones before; two_strips; quads; ragged.
// Summation classes: lane l adds its blocks in ascending order, input by input (a block's sum at a time for quantised
// weights). lanes64_quads: then lanes 4·i … 4·i + 3 pairwise, of these sixteen sums four neighbours in order, and those four
// pairwise. lanes64_spans: then lanes i, i + 8, … in order, and those eight in order.
@if(q8 || q4) import package::lib::weight_blocks::{numbers, scales_at, strip_start};
@else import package::lib::weight_blocks::{block, strip_start};
@if(two_strips) import package::linear::epilogue::finish_pair;
@else import package::linear::epilogue::finish;
import package::linear::operands::{args, input, mac, row_count};
@if(grouped) import package::linear::operands::variant_start;
import constants::{K4, ROWS, STRIPS, STRIPS_EACH};

@if(quads) enable subgroups;

const LANES = 64u;
const TRIPS = (K4 + LANES - 1u) / LANES;

@if(quads) const MEETING = LANES / 4u; // sums of a strip that meet in workgroup memory
@else const MEETING = LANES;

var<workgroup> partial: array<vec4f, 2u * STRIPS_EACH * MEETING>; // [group][strip][sum]
@if(!quads) var<workgroup> spans: array<vec4f, 2u * STRIPS_EACH * 8u>; // [group][strip][eighth]

// Inputs 4·k4 … 4·k4 + 3 of the row that starts at vec4 `row`, 0 beyond the end.
fn inputs(row: u32, k4: u32) -> vec4f {
  @if(ragged) return select(vec4f(), input[row + min(k4, K4 - 1u)], k4 < K4);
  @else return input[row + k4];
}

// The block that is read for k4: the last one beyond the end.
fn block_of(k4: u32) -> u32 {
  @if(ragged) return min(k4, K4 - 1u);
  @else return k4;
}

// acc + a block's weights times its inputs. The scales of quantised weights multiply the block's sum, not each weight.
fn add_block(acc: vec4f, w: mat4x4f, d: vec4f, x: vec4f) -> vec4f {
  @if(q8 || q4) return fma(d, mac(vec4f(), w, x), acc);
  @if(!(q8 || q4)) return mac(acc, w, x);
}

@compute @workgroup_size(128) fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) group: vec3u) {
  let rows = row_count();
  let lane = t % LANES;
  let strip = (group.x * 2u + t / LANES) * STRIPS_EACH;
  let s0 = min(strip, STRIPS - 1u);
  let from0 = strip_start(s0, K4);
  @if(two_strips) let from1 = strip_start(min(strip + 1u, STRIPS - 1u), K4);
  // A head's width is a multiple of two strips, so that a thread's outputs read one variant (`grouped`).
  @if(grouped) let r0 = variant_start(4u * (args.first_strip + s0));
  @else let r0 = 0u;
  @if(rows_2) let r1 = r0 + min(1u, rows - 1u) * K4;
  @if(rows_4) let r2 = r0 + min(2u, rows - 1u) * K4;
  @if(rows_4) let r3 = r0 + min(3u, rows - 1u) * K4;
  @if(rows_8) let r4 = r0 + min(4u, rows - 1u) * K4;
  @if(rows_8) let r5 = r0 + min(5u, rows - 1u) * K4;
  @if(rows_8) let r6 = r0 + min(6u, rows - 1u) * K4;
  @if(rows_8) let r7 = r0 + min(7u, rows - 1u) * K4;

  var a0 = vec4f(); var b0 = vec4f(); // row 0: strips s0 and s1
  var a1 = vec4f(); var b1 = vec4f();
  var a2 = vec4f(); var b2 = vec4f();
  var a3 = vec4f(); var b3 = vec4f();
  var a4 = vec4f(); var b4 = vec4f();
  var a5 = vec4f(); var b5 = vec4f();
  var a6 = vec4f(); var b6 = vec4f();
  var a7 = vec4f(); var b7 = vec4f();

  // sums of this lane
  for (var trip = 0u; trip < TRIPS; trip++) {
    let k4 = trip * LANES + lane;
    let at = block_of(k4);
    @if(q8 || q4) let wa = numbers(from0, at);
    @else let wa = block(from0, at);
    @if(q8 || q4) let da = scales_at(from0, at);
    @else let da = vec4f(1.0);
    let x0 = inputs(r0, k4);
    a0 = add_block(a0, wa, da, x0);
    @if(rows_2) let x1 = inputs(r1, k4);
    @if(rows_2) a1 = add_block(a1, wa, da, x1);
    @if(rows_4) let x2 = inputs(r2, k4);
    @if(rows_4) let x3 = inputs(r3, k4);
    @if(rows_4) a2 = add_block(a2, wa, da, x2);
    @if(rows_4) a3 = add_block(a3, wa, da, x3);
    @if(rows_8) let x4 = inputs(r4, k4);
    @if(rows_8) let x5 = inputs(r5, k4);
    @if(rows_8) a4 = add_block(a4, wa, da, x4);
    @if(rows_8) a5 = add_block(a5, wa, da, x5);
    @if(rows_8) let x6 = inputs(r6, k4);
    @if(rows_8) let x7 = inputs(r7, k4);
    @if(rows_8) a6 = add_block(a6, wa, da, x6);
    @if(rows_8) a7 = add_block(a7, wa, da, x7);
    @if(two_strips) {
      @if(q8 || q4) let wb = numbers(from1, at);
      @else let wb = block(from1, at);
      @if(q8 || q4) let db = scales_at(from1, at);
      @else let db = vec4f(1.0);
      b0 = add_block(b0, wb, db, x0);
      @if(rows_2) b1 = add_block(b1, wb, db, x1);
      @if(rows_4) b2 = add_block(b2, wb, db, x2);
      @if(rows_4) b3 = add_block(b3, wb, db, x3);
      @if(rows_8) b4 = add_block(b4, wb, db, x4);
      @if(rows_8) b5 = add_block(b5, wb, db, x5);
      @if(rows_8) b6 = add_block(b6, wb, db, x6);
      @if(rows_8) b7 = add_block(b7, wb, db, x7);
    }
  }

  // sums of all lanes, then the epilogue, row after row
  for (var i = 0u; i < ROWS; i++) {
    var a = a0;
    var b = b0;
    switch i {
      @if(rows_2) case 1u { a = a1; b = b1; }
      @if(rows_4) case 2u { a = a2; b = b2; }
      @if(rows_4) case 3u { a = a3; b = b3; }
      @if(rows_8) case 4u { a = a4; b = b4; }
      @if(rows_8) case 5u { a = a5; b = b5; }
      @if(rows_8) case 6u { a = a6; b = b6; }
      @if(rows_8) case 7u { a = a7; b = b7; }
      default {}
    }
    // After the first barrier the row before has been read.
    @if(quads) {
      let quad_a = quad_sum(a);
      @if(two_strips) let quad_b = quad_sum(b);
      let to = t / LANES * (STRIPS_EACH * MEETING) + lane / 4u;
      workgroupBarrier();
      if (lane % 4u == 0u) {
        partial[to] = quad_a;
        @if(two_strips) partial[to + MEETING] = quad_b;
      }
      workgroupBarrier();
      let from_quad = t / LANES * (STRIPS_EACH * MEETING) + lane % 4u * 4u;
      a = quad_sum(four(from_quad));
      @if(two_strips) b = quad_sum(four(from_quad + MEETING));
    } @else {
      let at = t / LANES * (STRIPS_EACH * MEETING) + lane;
      let to = t / LANES * (STRIPS_EACH * 8u) + lane % 8u;
      workgroupBarrier();
      partial[at] = a;
      @if(two_strips) partial[at + MEETING] = b;
      workgroupBarrier();
      if (lane < 8u) {
        spans[to] = every_eighth(at);
        @if(two_strips) spans[to + 8u] = every_eighth(at + MEETING);
      }
      workgroupBarrier();
      a = eight(to - lane % 8u);
      @if(two_strips) b = eight(to - lane % 8u + 8u);
    }
    if (lane == 0u && strip < STRIPS && i < rows) {
      @if(two_strips) finish_pair(i, strip, a, b);
      @else finish(i, strip, a);
    }
  }
}

// The sum over the four invocations of a quad, the same bits in each.
@if(quads) fn quad_sum(v: vec4f) -> vec4f {
  let pair = v + quadSwapX(v);
  return pair + quadSwapY(pair);
}

@if(quads) fn four(at: u32) -> vec4f {
  return ((partial[at] + partial[at + 1u]) + partial[at + 2u]) + partial[at + 3u];
}

@if(!quads) fn every_eighth(at: u32) -> vec4f {
  var sum = partial[at];
  for (var i = 1u; i < 8u; i++) { sum += partial[at + 8u * i]; }
  return sum;
}

@if(!quads) fn eight(at: u32) -> vec4f {
  var sum = spans[at];
  for (var i = 1u; i < 8u; i++) { sum += spans[at + i]; }
  return sum;
}
