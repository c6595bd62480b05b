// Log probabilities per out row: of the token that was drawn for it, and the most likely ones, by the softmax of its logits
// as the model gives them, before any penalty, mask or temperature: log p = (l - largest) - log(sum of exp(l - largest)).
//
// A record of RECORD words per token goes to the place of the token's id: log p of the token; then for each of the
// `flags >> COUNT_SHIFT` most likely tokens its id and its log p, by falling logit, of equals the smaller id first.
// Nothing is written for a row whose token is NO_TOKEN, or whose sequence does not ask (flag SCORED).
//
// Bindings: 1 logits [out_count][V4], see logits.wgsl; 2 settings by sequence; 4 token ids, drawn before; 8 records.
// Parallel: a workgroup per row. Passes over the row: 1 for the largest, 1 for the sum, 1 per token that is listed.
// Summation class workgroup{THREADS}: four chains per thread and their sum, then SPAN sums of SPAN (reduce.wgsl).
import package::lib::step::step;
import package::sample::logits::{NO_TOKEN, order_key, without_padding};
import package::sample::reduce::{Candidate, best_candidate, better, sum_masses};
import constants::{RECORD, THREADS, V4, VOCAB};

// As in sample.wgsl, which draws by it.
struct Setting {
  temperature: f32,
  top_p: f32,
  min_p: f32,
  repetition_penalty: f32,
  top_k: u32,
  seed_low: u32,
  seed_high: u32,
  flags: u32,
  presence_penalty: f32,
  frequency_penalty: f32,
}

@group(1) @binding(1) var<storage, read> logits: array<vec4u>;
@group(1) @binding(2) var<storage, read> settings: array<Setting>;
@group(1) @binding(4) var<storage, read> tokens: array<u32>;
@group(1) @binding(8) var<storage, read_write> logprobs: array<u32>;

const SCORED = 4u;
const COUNT_SHIFT = 8u;
const LANES = vec4u(0u, 1u, 2u, 3u);

// The best of vec4 `i` among those that come after `last`.
fn next_of(best: Candidate, last: Candidate, i: u32, start: u32) -> Candidate {
  var found = best;
  let merit = order_key(without_padding(logits[start + i], i));
  let ids = vec4u(4u * i) + LANES;
  for (var lane = 0u; lane < 4u; lane++) {
    let after = merit[lane] < last.merit || (merit[lane] == last.merit && ids[lane] > last.id);
    if (after && ids[lane] < VOCAB) {
      found = better(found, Candidate(merit[lane], ids[lane]));
    }
  }
  return found;
}

// The next most likely token after `last`, by merit and id.
fn next_token(tid: u32, start: u32, last: Candidate) -> Candidate {
  var best = Candidate(0u, NO_TOKEN);
  for (var i = tid; i < V4; i += THREADS) {
    best = next_of(best, last, i, start);
  }
  return best_candidate(tid, best);
}

fn logit_of(start: u32, id: u32) -> f32 {
  return bitcast<f32>(logits[start + id / 4u][id & 3u]);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) tid: u32) {
  if (group.x >= step.out_count) {
    return;
  }
  let target_row = step.outs[group.x];
  let flags = settings[target_row.sequence].flags;
  let token = tokens[target_row.token_index];
  // By data: the sequence's setting and its token, the same in all threads.
  if ((flags & SCORED) == 0u || token == NO_TOKEN) {
    return;
  }
  let start = group.x * V4;
  let record = target_row.token_index * RECORD;
  var last = next_token(tid, start, Candidate(0xffffffffu, 0u));
  let largest = logit_of(start, last.id);
  var sums = vec4f();
  for (var i = tid; i < V4; i += THREADS) {
    let l = bitcast<vec4f>(without_padding(logits[start + i], i));
    let mass = exp(max(l - vec4f(largest), vec4f(-100.0)));
    sums += select(vec4f(), mass, vec4u(4u * i) + LANES < vec4u(VOCAB));
  }
  let log_sum = log(sum_masses(tid, (sums.x + sums.y) + (sums.z + sums.w)));
  if (tid == 0u) {
    logprobs[record] = bitcast<u32>(logit_of(start, token) - largest - log_sum);
  }
  let count = min(flags >> COUNT_SHIFT, (RECORD - 1u) / 2u);
  // By data: the sequence's setting, the same in all threads; at most (RECORD - 1) / 2.
  for (var n = 0u; n < count; n++) {
    if (tid == 0u) {
      logprobs[record + 1u + 2u * n] = last.id;
      logprobs[record + 2u + 2u * n] = bitcast<u32>(logit_of(start, last.id) - largest - log_sum);
    }
    last = next_token(tid, start, last);
  }
}
