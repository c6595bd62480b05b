// Greedy choice, second stage: the best of a row's segments, and of equals the smallest id, as NumPy and PyTorch
// choose. A row with a NaN or infinite logit gets NO_TOKEN.
//
// Bindings: 1 partials [out_count][SEGMENTS / 2] of two (order key, id); 4 token ids, written at the out row's place.
// Parallel: on GPUs (`meet`) a workgroup per row, whose threads meet in workgroup memory: 2,048 segments are four loads per
// thread, all under way at once. On software devices, where a barrier costs more than reading them all, a thread per row:
// SEGMENTS is near the square root of the number of vec4s, so this serial pass is as long as a segment of the first
// stage.
// Summation class: none.
import package::lib::step::step;
import package::sample::logits::{NOT_FINITE, NO_TOKEN};
import constants::{SEGMENTS, THREADS};
@if(meet) import package::sample::reduce::{Candidate, best_candidate};

@group(1) @binding(1) var<storage, read> partials: array<vec4u>;
@group(1) @binding(4) var<storage, read_write> tokens: array<u32>;

const PAIRS = SEGMENTS / 2u; // a multiple of 4

// The better of two (key, id).
fn better(a: vec2u, b: vec2u) -> vec2u {
  return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}

// The best of eight (key, id).
fn best_of(a: vec4u, b: vec4u, c: vec4u, d: vec4u) -> vec2u {
  return better(better(better(a.xy, a.zw), better(b.xy, b.zw)), better(better(c.xy, c.zw), better(d.xy, d.zw)));
}

@if(!meet) @compute @workgroup_size(THREADS)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  if (row >= step.out_count) {
    return;
  }
  let start = row * PAIRS;
  var best = vec2u(0u, NO_TOKEN);
  for (var i = start; i < start + PAIRS; i += 4u) {
    best = better(best, best_of(partials[i], partials[i + 1u], partials[i + 2u], partials[i + 3u]));
  }
  tokens[step.outs[row].token_index] = select(best.y, NO_TOKEN, best.x == NOT_FINITE);
}

@if(meet) @compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) tid: u32) {
  let row = group.x;
  if (row >= step.out_count) {
    return;
  }
  let start = row * PAIRS;
  var best = vec2u(0u, NO_TOKEN);
  for (var i = tid; i < PAIRS; i += 4u * THREADS) {
    // Past the end the last pair is read again, which changes no maximum.
    let at = start + min(vec4u(i) + THREADS * vec4u(0u, 1u, 2u, 3u), vec4u(PAIRS - 1u));
    best = better(best, best_of(partials[at.x], partials[at.y], partials[at.z], partials[at.w]));
  }
  let winner = best_candidate(tid, Candidate(best.x, best.y));
  if (tid == 0u) {
    tokens[step.outs[row].token_index] = select(winner.id, NO_TOKEN, winner.merit == NOT_FINITE);
  }
}
