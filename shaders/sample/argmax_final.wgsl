// Greedy choice, second stage: the best of a row's segments, and of equals the smallest id, as NumPy and PyTorch
// choose. A row with a NaN or infinite logit gets NO_TOKEN.
//
// Bindings: 1 partials [out_count][SEGMENTS / 2] of two (order key, id); 4 token ids, written at the out row's place.
// Parallel: a thread per row, no barrier: SEGMENTS is near the square root of the number of vec4s, so this serial
// pass is as long as a segment of the first stage.
// Summation class: none.
import package::lib::step::step;
import package::sample::logits::{NOT_FINITE, NO_TOKEN};
import constants::SEGMENTS;

@group(1) @binding(1) var<storage, read> partials: array<vec4u>;
@group(1) @binding(4) var<storage, read_write> tokens: array<u32>;

// The better of two (key, id).
fn better(a: vec2u, b: vec2u) -> vec2u {
  return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  if (row >= step.out_count) {
    return;
  }
  const PAIRS = SEGMENTS / 2u; // a multiple of 4
  let start = row * PAIRS;
  var best = vec2u(0u, NO_TOKEN);
  for (var i = 0u; i < PAIRS; i += 4u) {
    let a = partials[start + i];
    let b = partials[start + i + 1u];
    let c = partials[start + i + 2u];
    let d = partials[start + i + 3u];
    best = better(best, better(better(a.xy, a.zw), better(b.xy, b.zw)));
    best = better(best, better(better(c.xy, c.zw), better(d.xy, d.zw)));
  }
  tokens[step.outs[row].token_index] = select(best.y, NO_TOKEN, best.x == NOT_FINITE);
}
