// How the threads of a row meet in norm/edited.wgsl: as in norm/norm.wgsl, with four sums at once.
import constants::{RANKS, SPAN, THREADS};

// Coordinates of the row, which all its threads read.
var<workgroup> coordinates: array<f32, RANKS>;
var<workgroup> thread_sums: array<vec4f, THREADS>;
var<workgroup> span_sums: array<vec4f, SPAN>;

// Sum over the threads of a row, the same bits in each. May be called repeatedly: each array is written again only behind
// a barrier that its last readers have passed.
fn total(tid: u32, value: vec4f) -> vec4f {
  thread_sums[tid] = value;
  workgroupBarrier();
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
}
