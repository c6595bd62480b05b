// What every attention kernel agrees on: which keys are seen, and how masks and zeros are written.

// In place of minus infinity: finite, because WGSL lets a compiler assume that infinities do not occur; and so far from
// the lowest float that no difference to a score above it is infinite either, nor its 1.44-fold, which a driver that has
// exp2 alone makes of exp's argument. Were all scores of a row below it, masked keys would count in their place; interventions
// reach scores of 1e33, and before 1e38 the products that they are sums of leave float32.
const MASKED = -1e38;

// First key position that a row at `position` sees through a window (0 = no window).
fn first_visible(position: u32, window: u32) -> u32 {
  return select(0u, position + 1u - window, window != 0u && position >= window);
}

// o / total, with zeros positive. A masked key adds 0 · v, which turns −0 into +0 or not, as v's sign has it;
// without this the sign of a zero result would tell of keys that the row does not see.
fn normalised(o: vec4f, total: f32) -> vec4f {
  let v = o / total;
  return select(v, vec4f(), v == vec4f());
}
