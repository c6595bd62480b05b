// Norm of a row, one workgroup a row. Bindings and formulas: norm/row.wgsl.
//
// Parallel: THREADS = SPAN * SPAN threads (64 or 256, 4 on software devices: src/kernels/norm.ts), each over vec4s tid, tid + THREADS, ... so that neighbours read
// neighbours. Sums go through workgroup memory in two levels of SPAN instead of a binary tree: two barriers where
// a tree of 256 has eight, and the SPAN reads of a level have constant places and do not wait for each other.
// A row is at most a few KiB: the later passes read it from the cache.
// Summation class workgroup{THREADS}: per thread four chains ascending and their sum; then SPAN sums of SPAN.
import constants::{D, D4, SPAN, THREADS};
import package::norm::row::{centred, input_start, lane_sum, row_total, scale_of, stream, write_normed};

const TRIPS = (D4 + THREADS - 1u) / THREADS;

var<workgroup> thread_sums: array<f32, THREADS>;
var<workgroup> span_sums: array<f32, SPAN>;

// Sum over the workgroup, the same bits in every thread. May be called repeatedly: each array is written again
// only behind a barrier that its last readers have passed.
fn workgroup_sum(tid: u32, value: f32) -> f32 {
  thread_sums[tid] = value;
  workgroupBarrier();
  if (tid < SPAN) {
    var sum = 0.0;
    for (var i = 0u; i < SPAN; i++) {
      sum += thread_sums[i * SPAN + tid];
    }
    span_sums[tid] = sum;
  }
  workgroupBarrier();
  var sum = 0.0;
  for (var i = 0u; i < SPAN; i++) {
    sum += span_sums[i];
  }
  return sum;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) tid: u32) {
  let row = group.x;
  if (row >= row_total()) {
    return;
  }
  let start = input_start(row);
  var mean = 0.0;
  var squares = vec4f();
  @if(layer) {
    var total = vec4f();
    for (var trip = 0u; trip < TRIPS; trip++) {
      let i = trip * THREADS + tid;
      if (i < D4) {
        total += stream(start, i);
      }
    }
    mean = workgroup_sum(tid, lane_sum(total)) / f32(D);
    for (var trip = 0u; trip < TRIPS; trip++) {
      let i = trip * THREADS + tid;
      if (i < D4) {
        let v = centred(stream(start, i), mean, i);
        squares = fma(v, v, squares);
      }
    }
  } @else {
    for (var trip = 0u; trip < TRIPS; trip++) {
      let i = trip * THREADS + tid;
      if (i < D4) {
        let v = stream(start, i);
        squares = fma(v, v, squares);
      }
    }
  }
  let scale = scale_of(workgroup_sum(tid, lane_sum(squares)));
  for (var trip = 0u; trip < TRIPS; trip++) {
    let i = trip * THREADS + tid;
    if (i < D4) {
      write_normed(row, i, stream(start, i), mean, scale);
    }
  }
}
