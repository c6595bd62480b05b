// Cross-entropy, second stage: losses[offset + i] = log(sum over v of exp(logits[i][v])) - logits[i][target],
// target being the token at the out row's place. NaN where a logit was not finite or the target is not a token.
//
// Bindings: 1 partials [out_count][SEGMENTS] of (m, sum), see cross_entropy_partial.wgsl; 2 logits; 3 token ids;
// 4 losses, as the bits of f32, since WGSL has no NaN to write.
// Parallel: a thread per row, no barrier; SEGMENTS is near the square root of the number of vec4s.
// Summation class segments{SEGMENTS}.
import package::lib::step::step;
import package::sample::cross_entropy::{log_1_plus, weight};
import package::sample::logits::LOWEST;
import constants::{SEGMENTS, V4, VOCAB};

struct Args {
  offset: u32, // place of out row 0 in losses
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> partials: array<vec2f>;
@group(1) @binding(2) var<storage, read> logits: array<f32>;
@group(1) @binding(3) var<storage, read> tokens: array<u32>;
@group(1) @binding(4) var<storage, read_write> losses: array<u32>;

const NAN_BITS = 0x7fc00000u;

@compute @workgroup_size(32)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  if (row >= step.out_count) {
    return;
  }
  let start = row * SEGMENTS;

  // the largest logit and its segment
  var largest = LOWEST;
  var holder = 0u;
  for (var s = 0u; s < SEGMENTS; s++) {
    let m = partials[start + s].x;
    if (m > largest) {
      largest = m;
      holder = s;
    }
  }

  // sum of the others' weights. The holder's sum comes last: added to it one by one, many small segments would all be rounded away. The target's own
  // weight is in none of the sums: where it is the largest, 1, what is left says how small the loss is.
  var rest = 0.0;
  var strange = false;
  for (var s = 0u; s < SEGMENTS; s++) {
    let partial = partials[start + s];
    strange = strange || partial.y < 0.0;
    if (s != holder) {
      rest = fma(weight(vec4f(partial.x), largest).x, partial.y, rest);
    }
  }
  let others = partials[start + holder].y + rest;

  // loss
  let target_token = tokens[step.outs[row].token_index];
  if (strange || target_token >= VOCAB) {
    losses[args.offset + row] = NAN_BITS;
    return;
  }
  let level = logits[row * V4 * 4u + target_token];
  // The two large terms first: their difference is exact where the target is likely, and the loss small.
  let unlikely = (largest - level) + log(others + weight(vec4f(level), largest).x);
  losses[args.offset + row] = bitcast<u32>(select(unlikely, log_1_plus(others), level == largest));
}
