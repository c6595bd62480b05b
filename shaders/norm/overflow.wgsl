// Rows whose squares leave float32. Their sum is infinite and 1 / its root 0: the row would be normed to zeros, finite and
// wrong. It becomes NaN instead, which no later kernel hides, down to the sampler. `flagged`: the first norm of a
// step that meets such a row of a sequence, or a row that is not finite already, is noted for the host's error.
//
// Binding 12: the greatest rank of a norm that met one, by sequence; 0 none. The earlier a norm, the greater its rank.
import package::lib::step::step;

@if(flagged) @group(1) @binding(12) var<storage, read_write> overflow: array<atomic<u32>>;

const MOST_SQUARES = 3.0e38;

// `scale`, or NaN where the sum of squares that it was made of is too large or no number.
fn scale_within(squares: f32, scale: f32) -> f32 {
  // Of a value that only the device knows: NaN as a constant is refused.
  return select(bitcast<f32>(0x7fc00000u | step.row_count), scale, squares <= MOST_SQUARES);
}

// By one thread of a row.
@if(flagged) fn note(squares: f32, row: u32, rank: u32) {
  if (!(squares <= MOST_SQUARES)) {
    @if(outs) let sequence = step.outs[row].sequence;
    @else let sequence = step.rows[row].sequence;
    atomicMax(&overflow[sequence], rank);
  }
}
