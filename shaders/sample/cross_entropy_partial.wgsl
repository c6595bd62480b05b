// Cross-entropy, first stage: for each segment of each out row its largest logit m and the sum of exp(logit - m) over all
// tokens but the target, whose own 1 would drown the others where it is likely.
//
// Bindings: 1 logits [out_count][V4], see logits.wgsl; 3 token ids, the target at the out row's place; 4 partials
// [out_count][SEGMENTS] of (m, sum).
// A segment with a NaN or infinite logit has the sum STRANGE.
// Parallel: a thread per segment and row, no barrier; segment s holds vec4s s, s + SEGMENTS, ..., see trip.wgsl. The
// segment is read twice, since one exp per element and a cached load cost less than the two exps of a running maximum.
// Summation class segments{SEGMENTS}: four chains per segment and their sum; the segments follow in final.
import package::lib::step::step;
import package::sample::logits::{LOWEST, not_finite, without_padding};
import package::sample::cross_entropy::{STRANGE, weight};
import package::sample::trip::AT_ONCE;
@if(four) import package::sample::trip::{Trip, advanced};
import constants::{SEGMENTS, V4};

@group(1) @binding(1) var<storage, read> logits: array<vec4u>;
@group(1) @binding(3) var<storage, read> tokens: array<u32>;
@group(1) @binding(4) var<storage, read_write> partials: array<vec2f>;

const LANES = vec4u(0u, 1u, 2u, 3u);

// Weights of vec4 `i` against the segment's largest m, but for the target's.
fn others(bits: vec4u, i: u32, m: f32, target_token: u32) -> vec4f {
  return select(weight(bitcast<vec4f>(bits), m), vec4f(), 4u * i + LANES == vec4u(target_token));
}

// Vec4s `first`, `first` + SEGMENTS, ... of the row that begins at `start`; past the end the lowest float.
@if(four) fn trip_from(start: u32, first: u32) -> Trip {
  let i = vec4u(first) + SEGMENTS * vec4u(0u, 1u, 2u, 3u);
  let at = start + min(i, vec4u(V4 - 1u));
  let bits = Trip(logits[at.x], logits[at.y], logits[at.z], logits[at.w]);
  return Trip(without_padding(bits.a, i.x), without_padding(bits.b, i.y),
    without_padding(bits.c, i.z), without_padding(bits.d, i.w));
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let segment = id.x;
  let row = id.y;
  if (row >= step.out_count) {
    return;
  }
  let start = row * V4;

  // largest logit
  var largest = vec4f(LOWEST);
  var strange = vec4<bool>();
  for (var first = segment; first < V4; first += AT_ONCE * SEGMENTS) {
    @if(!four) let bits = without_padding(logits[start + first], first);
    @if(!four) strange = strange | not_finite(bits);
    @if(!four) largest = max(largest, bitcast<vec4f>(bits));
    @if(four) var trip = trip_from(start, first);
    @if(four) for (var j = 0u; j < AT_ONCE; j++) {
      strange = strange | not_finite(trip.a);
      largest = max(largest, bitcast<vec4f>(trip.a));
      trip = advanced(trip);
    }
  }
  let m = max(max(largest.x, largest.y), max(largest.z, largest.w));

  // sum of the weights against it
  let target_token = tokens[step.outs[row].token_index];
  var sums = vec4f();
  for (var first = segment; first < V4; first += AT_ONCE * SEGMENTS) {
    @if(!four) sums += others(without_padding(logits[start + first], first), first, m, target_token);
    @if(four) var trip = trip_from(start, first);
    @if(four) for (var j = 0u; j < AT_ONCE; j++) {
      let i = first + j * SEGMENTS;
      sums += select(vec4f(), others(trip.a, i, m, target_token), i < V4);
      trip = advanced(trip);
    }
  }
  let sum = (sums.x + sums.y) + (sums.z + sums.w);
  partials[row * SEGMENTS + segment] = vec2f(m, select(sum, STRANGE, any(strange)));
}
