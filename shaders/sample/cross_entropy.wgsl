// What the two stages of the cross-entropy share.

// In place of a segment's sum: a logit was not finite. No true sum is negative.
const STRANGE = -1.0;

// log(1 + x) for x >= 0, with the digits of x where it is small.
fn log_1_plus(x: f32) -> f32 {
  let series = x * (1.0 - x * (0.5 - x * (0.33333334 - x * (0.25 - x * 0.2))));
  return select(log(1.0 + x), series, x < 0.05);
}

// exp(value - largest) for value <= largest, 0 where float32 has no normal number for it. Halves are subtracted, which is
// exact, because the difference of two huge logits could overflow into an infinity.
fn weight(value: vec4f, largest: f32) -> vec4f {
  let half = max(0.5 * value - 0.5 * largest, vec4f(-50.0));
  return select(exp(2.0 * half), vec4f(), half < vec4f(-43.5));
}
