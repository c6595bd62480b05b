// Norm of rows without workgroup memory or barriers, for devices whose barriers are dear.
// Bindings and formulas: norm/row.wgsl.
//
// Parallel: workgroups of four threads, since software devices run a workgroup's threads in SIMD lanes of one core:
// few rows a workgroup leave work for the other cores. LANES = 1: a thread per row. LANES = 4, for a single row:
// each of four threads sums the whole row, which costs no more than one thread doing it, and writes a quarter.
// Summation class vec4_serial: four chains, lane l over columns l, l + 4, ... ascending; then (0 + 1) + (2 + 3).
import constants::{D, D4, LANES};
import package::norm::row::{centred, input_start, lane_sum, row_total, scale_of, stream, write_normed};

@compute @workgroup_size(4)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x / LANES;
  if (row >= row_total()) {
    return;
  }
  let start = input_start(row);
  var mean = 0.0;
  var squares = vec4f();
  @if(layer) {
    var total = vec4f();
    for (var i = 0u; i < D4; i++) {
      total += stream(start, i);
    }
    mean = lane_sum(total) / f32(D);
    for (var i = 0u; i < D4; i++) {
      let v = centred(stream(start, i), mean, i);
      squares = fma(v, v, squares);
    }
  } @else {
    for (var i = 0u; i < D4; i++) {
      let v = stream(start, i);
      squares = fma(v, v, squares);
    }
  }
  let scale = scale_of(lane_sum(squares));
  for (var i = id.x % LANES; i < D4; i += LANES) {
    write_normed(row, i, stream(start, i), mean, scale);
  }
}
