// Matrix-vector product for GPUs, one to four rows: 64 lanes go through K side by side and add up at the end.
//
// Parallel: a workgroup is two groups of 64 lanes; each group owns two neighbouring strips (eight outputs), lane l
// takes k = l, l + 64, l + 128, …; x = groups of strips; y is 1, all rows are in the thread. Bindings:
// linear/operands.wgsl. Adjacent lanes read adjacent vec4s of weights (16 bytes, 8 for 16-bit types) and adjacent
// floats of input; four k are in flight at a time for both strips. A decode step is bound by the bytes of the weights:
// what counts is that enough loads are under way on enough workgroups.
//
// Then the 64 partial sums of a strip meet in a binary tree in workgroup memory, row after row in the same place.
// Inputs beyond the end of K are taken as 0 (`ragged`: K is not a multiple of 256).
//
// Conditions: rows_2, rows_4: so many rows a thread, each includes the ones before.
// Summation class: lanes64_tree: lane l sums its k in ascending order, then lanes l and l + 32, l + 16, … 1 are added.
import package::lib::weights::column;
import package::linear::epilogue::finish_pair;
import package::linear::operands::{args, input, row_count};
@if(grouped) import package::linear::operands::variant_start;
import constants::{K4, ROWS, STRIPS};

const LANES = 64u;
const K = K4 * 4u;
const TRIPS = (K + 4u * LANES - 1u) / (4u * LANES);

var<workgroup> partial: array<vec4f, 4u * LANES>; // [group][strip][lane]

// Input k of the row that starts at vec4 `row`, 0 beyond the end.
fn at(row: u32, k: u32) -> f32 {
  @if(!ragged) return input[row + k / 4u][k % 4u];
  @if(ragged) return select(0.0, input[row + min(k, K - 1u) / 4u][k % 4u], k < K);
}

fn weight(strip: u32, k: u32) -> vec4f {
  @if(!ragged) return column(strip, k);
  @if(ragged) return column(strip, min(k, K - 1u));
}

@compute @workgroup_size(128) fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) group: vec3u) {
  let rows = row_count();
  let lane = t % LANES;
  let strip = (group.x * 2u + t / LANES) * 2u;
  let s0 = min(strip, STRIPS - 1u);
  let s1 = min(strip + 1u, STRIPS - 1u);
  // A head's width is a multiple of two strips, so that a thread's outputs read one variant (`grouped`).
  @if(grouped) let r0 = variant_start(4u * (args.first_strip + s0));
  @else let r0 = 0u;
  @if(rows_2) let r1 = r0 + min(1u, rows - 1u) * K4;
  @if(rows_4) let r2 = r0 + min(2u, rows - 1u) * K4;
  @if(rows_4) let r3 = r0 + min(3u, rows - 1u) * K4;

  var a0 = vec4f(); var b0 = vec4f(); // row 0: strips s0 and s1
  var a1 = vec4f(); var b1 = vec4f();
  var a2 = vec4f(); var b2 = vec4f();
  var a3 = vec4f(); var b3 = vec4f();

  for (var trip = 0u; trip < TRIPS; trip++) {
    let k = trip * (4u * LANES) + lane;
    let wa0 = weight(s0, k);
    let wa1 = weight(s0, k + LANES);
    let wa2 = weight(s0, k + 2u * LANES);
    let wa3 = weight(s0, k + 3u * LANES);
    let wb0 = weight(s1, k);
    let wb1 = weight(s1, k + LANES);
    let wb2 = weight(s1, k + 2u * LANES);
    let wb3 = weight(s1, k + 3u * LANES);
    {
      let x = vec4f(at(r0, k), at(r0, k + LANES), at(r0, k + 2u * LANES), at(r0, k + 3u * LANES));
      a0 = fma(wa3, vec4f(x.w), fma(wa2, vec4f(x.z), fma(wa1, vec4f(x.y), fma(wa0, vec4f(x.x), a0))));
      b0 = fma(wb3, vec4f(x.w), fma(wb2, vec4f(x.z), fma(wb1, vec4f(x.y), fma(wb0, vec4f(x.x), b0))));
    }
    @if(rows_2) {
      let x = vec4f(at(r1, k), at(r1, k + LANES), at(r1, k + 2u * LANES), at(r1, k + 3u * LANES));
      a1 = fma(wa3, vec4f(x.w), fma(wa2, vec4f(x.z), fma(wa1, vec4f(x.y), fma(wa0, vec4f(x.x), a1))));
      b1 = fma(wb3, vec4f(x.w), fma(wb2, vec4f(x.z), fma(wb1, vec4f(x.y), fma(wb0, vec4f(x.x), b1))));
    }
    @if(rows_4) {
      let x = vec4f(at(r2, k), at(r2, k + LANES), at(r2, k + 2u * LANES), at(r2, k + 3u * LANES));
      a2 = fma(wa3, vec4f(x.w), fma(wa2, vec4f(x.z), fma(wa1, vec4f(x.y), fma(wa0, vec4f(x.x), a2))));
      b2 = fma(wb3, vec4f(x.w), fma(wb2, vec4f(x.z), fma(wb1, vec4f(x.y), fma(wb0, vec4f(x.x), b2))));
    }
    @if(rows_4) {
      let x = vec4f(at(r3, k), at(r3, k + LANES), at(r3, k + 2u * LANES), at(r3, k + 3u * LANES));
      a3 = fma(wa3, vec4f(x.w), fma(wa2, vec4f(x.z), fma(wa1, vec4f(x.y), fma(wa0, vec4f(x.x), a3))));
      b3 = fma(wb3, vec4f(x.w), fma(wb2, vec4f(x.z), fma(wb1, vec4f(x.y), fma(wb0, vec4f(x.x), b3))));
    }
  }

  for (var i = 0u; i < ROWS; i++) {
    var a = a0;
    var b = b0;
    switch i {
      @if(rows_2) case 1u { a = a1; b = b1; }
      @if(rows_4) case 2u { a = a2; b = b2; }
      @if(rows_4) case 3u { a = a3; b = b3; }
      default {}
    }
    sum_up(t, a, b);
    if (lane == 0u && strip < STRIPS && i < rows) {
      finish_pair(i, strip, partial[2u * t], partial[2u * t + LANES]);
    }
  }
}

// Adds up both strips of both groups of lanes; the sums stand at lane 0 of each.
fn sum_up(t: u32, a: vec4f, b: vec4f) {
  let at = t / LANES * (2u * LANES) + t % LANES;
  workgroupBarrier(); // the row before has been read
  partial[at] = a;
  partial[at + LANES] = b;
  for (var half = LANES / 2u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (t % LANES < half) {
      partial[at] += partial[at + half];
      partial[at + LANES] += partial[at + LANES + half];
    }
  }
}
