// Gradient of the weighted sum of cross-entropies with respect to the logits: weight[row]·(softmax(logits) - onehot(target)).
// The log-sum-exp is the row's loss plus its target's logit (sample/cross_entropy_final.wgsl).
//
// Bindings: 1 logits [rows][V4]; 2 losses; 3 token ids; 5 weights, one number for each place in losses; 4 output [rows][V4],
// 0 in the padding.
// Parallel: a thread per vec4 (x) of an out row (y). Summation class: none.
import package::lib::step::step;
import constants::{V4, VOCAB};

struct Args {
  offset: u32, // place of out row 0 in losses and weights
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> logits: array<vec4f>;
@group(1) @binding(2) var<storage, read> losses: array<f32>;
@group(1) @binding(3) var<storage, read> tokens: array<u32>;
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>;
@group(1) @binding(5) var<storage, read> weights: array<f32>;

// The target's probability less 1: exp(-loss) - 1, with the digits of the loss where it is small.
fn short_of_1(loss: f32) -> f32 {
  let tail = 0.041666668 - loss * (0.008333334 - loss * 0.0013888889);
  let series = loss * (1.0 - loss * (0.5 - loss * (0.16666667 - loss * tail)));
  return select(exp(-loss) - 1.0, -series, loss < 0.25);
}

@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y;
  if (id.x >= V4 || row >= step.out_count) {
    return;
  }
  let weight = weights[args.offset + row];
  let target_token = tokens[step.outs[row].token_index];
  let place = row * V4 + target_token / 4u;
  let level = logits[place][target_token % 4u];
  let n = 4u * id.x + vec4u(0u, 1u, 2u, 3u);
  // Both differences are small where the probability is large, and keep their digits there.
  let p = exp((logits[row * V4 + id.x] - level) - losses[args.offset + row]);
  let change = select(p, vec4f(short_of_1(losses[args.offset + row])), n == vec4u(target_token));
  output[row * V4 + id.x] = select(vec4f(), weight * change, n < vec4u(VOCAB));
}
