// Cross-entropy, first stage: for each segment of each out row its largest logit m and the sum of exp(logit - m).
//
// Bindings: 1 logits [out_count][V4], see logits.wgsl; 4 partials [out_count][SEGMENTS] of (m, sum).
// A segment with a NaN or infinite logit has the sum STRANGE.
// Parallel: a thread per segment and row, no barrier; segment s holds vec4s s, s + SEGMENTS, ... The segment is read
// twice, since one exp an element and a cached load cost less than the two exps of a running maximum.
// Summation class segments{SEGMENTS}: four chains a segment and their sum; the segments follow in final.
import package::lib::step::step;
import package::sample::logits::{LOWEST, not_finite, without_padding};
import package::sample::cross_entropy::{STRANGE, weight};
import constants::{SEGMENTS, V4};

@group(1) @binding(1) var<storage, read> logits: array<vec4u>;
@group(1) @binding(4) var<storage, read_write> partials: array<vec2f>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let segment = id.x;
  let row = id.y;
  if (row >= step.out_count) {
    return;
  }
  let start = row * V4;
  var largest = vec4f(LOWEST);
  var strange = vec4<bool>();
  for (var i = segment; i < V4; i += SEGMENTS) {
    let bits = without_padding(logits[start + i], i);
    strange = strange | not_finite(bits);
    largest = max(largest, bitcast<vec4f>(bits));
  }
  let m = max(max(largest.x, largest.y), max(largest.z, largest.w));
  var sums = vec4f();
  for (var i = segment; i < V4; i += SEGMENTS) {
    sums += weight(bitcast<vec4f>(without_padding(logits[start + i], i)), m);
  }
  let sum = (sums.x + sums.y) + (sums.z + sums.w);
  partials[row * SEGMENTS + segment] = vec2f(m, select(sum, STRANGE, any(strange)));
}
