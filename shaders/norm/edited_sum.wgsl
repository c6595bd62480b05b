// How the threads of a row meet in norm/edited.wgsl, in both families. Sums have the order of the family's plain norm, so
// that a row which nothing changes keeps its bits.
//
// tiled: THREADS = SPAN · SPAN; sums go through workgroup memory in two levels, as in norm/tiled.wgsl.
// Otherwise THREADS = 4, and a thread's sum is a lane of norm/register.wgsl's: (0 + 1) + (2 + 3).
import package::norm::edited_row::Part;
import package::norm::row::lane_sum;
import constants::{RANKS, THREADS};
@if(tiled) import constants::SPAN;

// Coordinates of the row, which all its threads read.
var<workgroup> coordinates: array<f32, RANKS>;
var<workgroup> thread_sums: array<vec4f, THREADS>;
@if(tiled) var<workgroup> span_sums: array<vec4f, SPAN>;

// Sum over the threads of a row, the same bits in each. May be called repeatedly: each array is written again only behind
// a barrier that its last readers have passed.
fn total(tid: u32, value: vec4f) -> vec4f {
  thread_sums[tid] = value;
  workgroupBarrier();
  @if(tiled) {
    if (tid < SPAN) {
      var sum = vec4f();
      for (var i = 0u; i < SPAN; i++) {
        sum += thread_sums[i * SPAN + tid];
      }
      span_sums[tid] = sum;
    }
    workgroupBarrier();
    var sum = vec4f();
    for (var i = 0u; i < SPAN; i++) {
      sum += span_sums[i];
    }
    return sum;
  } @else {
    let sum = (thread_sums[0] + thread_sums[1]) + (thread_sums[2] + thread_sums[3]);
    workgroupBarrier();
    return sum;
  }
}

// Sum over a row of what its threads summed over their parts.
fn row_total(tid: u32, value: Part) -> f32 {
  @if(tiled) return total(tid, vec4f(lane_sum(value))).x;
  @else return total(tid, vec4f(value)).x;
}
