// What the two stages of the cross-entropy share.

// In place of a segment's sum: a logit was not finite. No true sum is negative.
const STRANGE = -1.0;

// exp(value - largest) for value <= largest. Below e^-100 it makes no difference to a sum that is at least 1. Halves
// are subtracted, which is exact, because the difference of two huge logits could overflow into an infinity.
fn weight(value: vec4f, largest: f32) -> vec4f {
  return exp(2.0 * max(0.5 * value - 0.5 * largest, vec4f(-50.0)));
}
