// Norm of a row, one workgroup per row. Bindings and formulas: norm/row.wgsl.
//
// Parallel: THREADS threads, each over vec4s tid, tid + THREADS, ... so that neighbours read neighbours; they sum as
// norm/meet.wgsl says. A row is at most a few KiB: the later passes read it from the cache.
// Summation class workgroup{THREADS}: per thread four chains ascending and their sum; then SPAN sums of SPAN, or of four
// threads (0 + 1) + (2 + 3).
import constants::{D, D4, THREADS};
import package::norm::meet::total;
@if(flagged) import package::norm::overflow::note;
@if(flagged) import package::norm::row::args;
import package::norm::row::{centred, input_start, lane_sum, row_total, scale_of, stream, write_normed};

@if(quads) enable subgroups;

const TRIPS = (D4 + THREADS - 1u) / THREADS;

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) tid: u32) {
  let row = group.x;
  if (row >= row_total()) {
    return;
  }
  let start = input_start(row);

  // mean
  var mean = 0.0;
  var squares = vec4f();
  @if(layer) {
    var sum = vec4f();
    for (var trip = 0u; trip < TRIPS; trip++) {
      let i = trip * THREADS + tid;
      if (i < D4) {
        sum += stream(start, i);
      }
    }
    mean = total(tid, lane_sum(sum)) / f32(D);
    // variance
    for (var trip = 0u; trip < TRIPS; trip++) {
      let i = trip * THREADS + tid;
      if (i < D4) {
        let v = centred(stream(start, i), mean, i);
        squares = fma(v, v, squares);
      }
    }
  } @else {
    // mean square
    for (var trip = 0u; trip < TRIPS; trip++) {
      let i = trip * THREADS + tid;
      if (i < D4) {
        let v = stream(start, i);
        squares = fma(v, v, squares);
      }
    }
  }
  let sum_of_squares = total(tid, lane_sum(squares));
  @if(flagged) { if (tid == 0u) { note(sum_of_squares, row, args.rank); } }

  // normalise
  let scale = scale_of(sum_of_squares);
  for (var trip = 0u; trip < TRIPS; trip++) {
    let i = trip * THREADS + tid;
    if (i < D4) {
      write_normed(row, i, stream(start, i), mean, scale);
    }
  }
}
