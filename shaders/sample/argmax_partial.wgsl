// Greedy choice, first stage: the largest logit of each segment of each out row, and the smallest id that has it.
//
// Bindings: 1 logits [out_count][V4], see logits.wgsl; 4 partials [out_count][SEGMENTS] of (order key, id).
// Parallel: a thread per segment and row, no barrier. Segment s holds vec4s s, s + SEGMENTS, ...: neighbours read
// neighbours. Four loads per trip are independent, so that they are in flight together; past the end the last vec4 is
// read again, which changes no maximum.
// Summation class: none.
import package::lib::step::step;
import package::sample::logits::{LOWEST, NOT_FINITE, not_finite, order_key, without_padding};
import constants::{SEGMENTS, V4};

@group(1) @binding(1) var<storage, read> logits: array<vec4u>;
@group(1) @binding(4) var<storage, read_write> partials: array<vec2u>;

// The best value so far in each of four lanes, the vec4 it came from, and whether the lane saw a NaN or infinity.
struct Best {
  value: vec4f,
  at: vec4u,
  strange: vec4<bool>,
}

fn consider(best: ptr<function, Best>, start: u32, i: u32) {
  let at = min(i, V4 - 1u);
  let bits = without_padding(logits[start + at], at);
  let value = bitcast<vec4f>(bits);
  let greater = value > (*best).value;
  (*best).value = select((*best).value, value, greater);
  (*best).at = select((*best).at, vec4u(at), greater);
  (*best).strange = (*best).strange | not_finite(bits);
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let segment = id.x;
  let row = id.y;
  if (row >= step.out_count) {
    return;
  }
  let start = row * V4;
  // Where nothing is above the lowest float, the segment's first vec4 holds it, if there is one.
  var best = Best(vec4f(LOWEST), vec4u(min(segment, V4 - 1u)), vec4<bool>());
  for (var i = segment; i < V4; i += 4u * SEGMENTS) {
    consider(&best, start, i);
    consider(&best, start, i + SEGMENTS);
    consider(&best, start, i + 2u * SEGMENTS);
    consider(&best, start, i + 3u * SEGMENTS);
  }

  // best of the four lanes
  let keys = order_key(bitcast<vec4u>(best.value));
  let ids = best.at * 4u + vec4u(0u, 1u, 2u, 3u);
  let key = max(max(keys.x, keys.y), max(keys.z, keys.w));
  let holders = select(vec4u(0xffffffffu), ids, keys == vec4u(key));
  let holder = min(min(holders.x, holders.y), min(holders.z, holders.w));
  partials[row * SEGMENTS + segment] = vec2u(select(key, NOT_FINITE, any(best.strange)), holder);
}
