// Rows that float32 has no right norm for. They become NaN, which no later kernel hides, down to the sampler:
// - Rows whose squares leave float32. Their sum is infinite and 1 / its root 0: the row would be normed to zeros, finite and
//   wrong.
// - Rows that an edge mask made of terms so much larger that hardly a digit of the row is left.
// `flagged`: the first norm of a step that meets such a row of a sequence, or a row that is not finite already, is noted
// for the host's error.
//
// Binding 12: by sequence 0, or twice the greatest rank of a norm that met one, plus 1 if digits were lost. The earlier a
// norm, the greater its rank.
import package::lib::step::step;

@if(flagged) @group(1) @binding(12) var<storage, read_write> overflow: array<atomic<u32>>;

const MOST_SQUARES = 3.0e38;
// Float32 rounds terms to 2^-24 of their size: of a row that is 2^-18 of that, a sixty-fourth may be wrong. Less must pass:
// the first tokens of large language models carry values that are 2^15 times as large as the rest.
const MOST_TERMS = 262144.0;

// NaN, of a value that only the device knows: as a constant it is refused.
fn not_a_number() -> f32 {
  return bitcast<f32>(0x7fc00000u | step.row_count);
}

// `scale`, or NaN where the sum of squares that it was made of is too large or no number.
fn scale_within(squares: f32, scale: f32) -> f32 {
  return select(not_a_number(), scale, squares <= MOST_SQUARES);
}

// Whether terms up to `most` have taken the digits of a row that is normed by `scale`.
fn is_lost(most: f32, scale: f32) -> bool {
  return most * scale > MOST_TERMS;
}

// By one thread of a row.
@if(flagged) fn note(squares: f32, row: u32, rank: u32) {
  if (!(squares <= MOST_SQUARES)) {
    atomicMax(&overflow[sequence_of(row)], 2u * rank);
  }
}

// By any thread of a row.
@if(flagged) fn note_lost(row: u32, rank: u32) {
  atomicMax(&overflow[sequence_of(row)], 2u * rank + 1u);
}

@if(flagged) fn sequence_of(row: u32) -> u32 {
  @if(outs) return step.outs[row].sequence;
  @else return step.rows[row].sequence;
}
