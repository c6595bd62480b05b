// How the threads of a row meet in norm/edited.wgsl, in both families.
//
// tiled: a workgroup of THREADS = SPAN · SPAN threads has one row, and sums go through workgroup memory in two levels.
// Otherwise a thread has a row of its own, THREADS is 1, and there is nothing to wait for; the workgroup's threads use
// separate parts of `coordinates`.
import constants::{COORDINATES};
@if(tiled) import constants::{ROW_THREADS, SPAN};

@if(tiled) const THREADS = ROW_THREADS;
@else const THREADS = 1u;

var<workgroup> coordinates: array<f32, COORDINATES>;
@if(tiled) var<workgroup> thread_sums: array<vec4f, THREADS>;
@if(tiled) var<workgroup> span_sums: array<vec4f, SPAN>;

// The threads of a row wait for each other.
fn meet() {
  @if(tiled) workgroupBarrier();
}

// Sum over the threads of a row, the same bits in each. The order of norm/tiled.wgsl, on four sums at once.
fn total(tid: u32, value: vec4f) -> vec4f {
  @if(!tiled) return value;
  @if(tiled) {
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
}
