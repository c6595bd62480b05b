// Sampling: one token per out row, by the rules and in the order of Hugging Face's logits processors:
//   0. with `adjusted`: the sequence's own addend of the token is added to its logit;
//   1. repetition penalty p: the logit l of a token seen before becomes l * p if l < 0, else l / p;
//      with `adjusted`: then OpenAI's penalties: count * frequency_penalty is subtracted, and presence_penalty if the
//      token was drawn before; and of a constrained sequence only the tokens of its mask remain;
//   2. temperature T: z = (l - largest l) / T; 0 takes the largest l and ends here;
//   3. top-k: the k largest l stay; all that equal the k-th stay too;
//   4. top-p: of these the most probable stay, as few as hold a share of at least p, at least one. A token stays if
//      the tokens more probable than it hold less than p, so equals stay or go together;
//   5. min-p: of these stay those with a probability of at least min_p times the largest;
//   6. a draw from what stays, by its softmax.
//
// The draw is Gumbel-max: the winner is the largest z + noise (noise.wgsl). That makes the exact set of step 4
// unnecessary: the winner among all of step 3 is also the winner of every subset that it belongs to. So draw, test the
// winner by the mass above it, and if it fails draw again among the tokens above it alone; on average each redraw
// halves the mass, and the result is the token that thresholds and one draw would give.
//
// Bindings: 1 logits [out_count][V4], see logits.wgsl; 2 settings by sequence; 4 token ids, written at the out row's
// place; 5 seen [sequence][SEEN_WORDS], a bit per token: the host sets those of the prompt, and the winner's is set
// here; with `adjusted` 6 adjustments [sequence][2][V4]: addends, then counts of draws, to which the winner's is added;
// 7 allowed [sequence][SEEN_WORDS], a bit per token. A row with a logit that is not finite, or is not after the penalty, gets NO_TOKEN. A sequence may have one
// out row per step.
// Parallel: a workgroup per row; thread t holds vec4s t, t + THREADS, ..., see trip.wgsl. 256 threads on GPUs; 64 on
// software devices, whose barriers and compile times grow with the threads.
// Passes over the row: 1 for the largest; up to 14 of integer compares for k; 1, and 2 per draw, for p; else 1 for the draw.
// Summation class workgroup{THREADS} for the masses of step 4: four chains per thread and their sum, then SPAN sums of
// SPAN (reduce.wgsl).
import package::lib::step::step;
import package::sample::logits::{NOT_FINITE, NO_TOKEN, not_finite, order_key};
import package::sample::noise::gumbel;
import package::sample::reduce::{Candidate, best_candidate, better, sum_counts, sum_masses};
import package::sample::trip::AT_ONCE;
@if(four) import package::sample::trip::{Trip, advanced};
import constants::{THREADS, V4, VOCAB};

struct Setting {
  temperature: f32,        // 0: greedy
  top_p: f32,              // 1 or more: off
  min_p: f32,              // 0: off
  repetition_penalty: f32, // 1: off
  top_k: u32,              // 0: off
  seed_low: u32,
  seed_high: u32,
  flags: u32,              // ADDENDS, CONSTRAINED; shaders/sample/logprobs.wgsl has more
  presence_penalty: f32,   // 0: off
  frequency_penalty: f32,  // 0: off
}

@group(1) @binding(1) var<storage, read> logits: array<vec4u>;
@group(1) @binding(2) var<storage, read> settings: array<Setting>;
@group(1) @binding(4) var<storage, read_write> tokens: array<u32>;
@group(1) @binding(5) var<storage, read_write> seen: array<u32>;
@if(adjusted) @group(1) @binding(6) var<storage, read_write> adjustments: array<vec4f>;
@if(adjusted) @group(1) @binding(7) var<storage, read> allowed: array<u32>;

// Flags of a setting: the sequence has addends or counts; a mask.
@if(adjusted) const ADDENDS = 1u;
@if(adjusted) const CONSTRAINED = 2u;
// Bits whose order key is NO_KEY: what lies outside the mask is like padding.
@if(adjusted) const OUTSIDE = 0xffffffffu;

const SEEN_WORDS = (VOCAB + 31u) / 32u;
const LANES = vec4u(0u, 1u, 2u, 3u);
// The key of padding; below that of any logit.
const NO_KEY = 0u;

// What a pass needs to know of its row.
struct RowState {
  start: u32,       // first vec4 of its logits
  seen_start: u32,  // first word of its sequence in seen
  penalty: f32,
  inverse_temperature: f32,
  largest: f32,     // penalised logit
  @if(adjusted) flags: u32,
  @if(adjusted) adjustment_start: u32, // first vec4 of its sequence in adjustments
  @if(adjusted) presence_penalty: f32,
  @if(adjusted) frequency_penalty: f32,
}

// Penalised logits of vec4s `first`, `first` + THREADS, ... What keys() says of those past the end is NO_KEY.
@if(four) fn trip_from(row: RowState, first: u32) -> Trip {
  let i = min(vec4u(first) + THREADS * LANES, vec4u(V4 - 1u));
  let bits = Trip(logits[row.start + i.x], logits[row.start + i.y], logits[row.start + i.z], logits[row.start + i.w]);
  @if(adjusted) if (row.flags != 0u) {
    return Trip(adjusted(row, bits.a, i.x), adjusted(row, bits.b, i.y), adjusted(row, bits.c, i.z),
      adjusted(row, bits.d, i.w));
  }
  if (row.penalty == 1.0) {
    return bits;
  }
  let words = vec4u(seen_word(row, i.x), seen_word(row, i.y), seen_word(row, i.z), seen_word(row, i.w));
  return Trip(changed(row, bits.a, words.x, i.x), changed(row, bits.b, words.y, i.y),
    changed(row, bits.c, words.z, i.z), changed(row, bits.d, words.w, i.w));
}

// The word of the row's seen tokens that vec4 `i` has its bits in.
fn seen_word(row: RowState, i: u32) -> u32 {
  return seen[row.seen_start + i / 8u];
}

// Bits of the logits of vec4 `i` after the penalty. What is not finite stays as it is; what lies in the padding is
// undefined.
fn changed(row: RowState, bits: vec4u, word: u32, i: u32) -> vec4u {
  let v = bitcast<vec4f>(bits);
  let is_seen = ((vec4u(word) >> (vec4u(4u * (i & 7u)) + LANES)) & vec4u(1u)) == vec4u(1u);
  let after = bitcast<vec4u>(select(v / row.penalty, v * row.penalty, v < vec4f(0.0)));
  return select(bits, after, is_seen & !not_finite(bits));
}

// `value` where both it and the bits that it came from are of use; else these bits.
@if(adjusted) fn finite_only(bits: vec4u, value: vec4f) -> vec4u {
  return select(bitcast<vec4u>(value), bits, not_finite(bits));
}

// Bits of the logits of vec4 `i` after steps 0 and 1.
@if(adjusted) fn adjusted(row: RowState, bits: vec4u, i: u32) -> vec4u {
  var v = bits;
  let has_addends = (row.flags & ADDENDS) != 0u;
  if (has_addends) {
    v = finite_only(v, bitcast<vec4f>(v) + adjustments[row.adjustment_start + i]);
  }
  if (row.penalty != 1.0) {
    v = changed(row, v, seen_word(row, i), i);
  }
  if (has_addends) {
    let counts = adjustments[row.adjustment_start + V4 + i];
    let less = counts * row.frequency_penalty + select(vec4f(), vec4f(row.presence_penalty), counts > vec4f());
    v = finite_only(v, bitcast<vec4f>(v) - less);
  }
  if ((row.flags & CONSTRAINED) != 0u) {
    let inside = (vec4u(allowed[row.seen_start + i / 8u]) >> (vec4u(4u * (i & 7u)) + LANES)) & vec4u(1u);
    v = select(vec4u(OUTSIDE), v, inside == vec4u(1u));
  }
  return v;
}

// One vec4 of penalised logits.
fn penalised(row: RowState, i: u32) -> vec4u {
  let bits = logits[row.start + i];
  @if(adjusted) if (row.flags != 0u) {
    return adjusted(row, bits, i);
  }
  if (row.penalty == 1.0) {
    return bits;
  }
  return changed(row, bits, seen_word(row, i), i);
}

// Order keys of the penalised logits of vec4 `i`; NO_KEY in the padding and past the end.
fn keys(bits: vec4u, i: u32) -> vec4u {
  return select(vec4u(NO_KEY), order_key(bits), vec4u(4u * i) + LANES < vec4u(VOCAB));
}

// z, from halves because the difference of two huge logits could overflow; low enough to lose, and finite.
fn scaled(row: RowState, bits: vec4u) -> vec4f {
  let half = 0.5 * bitcast<vec4f>(bits) - 0.5 * row.largest;
  return 2.0 * max(half, vec4f(-1e30)) * row.inverse_temperature;
}

// The best token so far in each of four lanes: its merit and its vec4.
struct Lanes {
  merit: vec4u,
  at: vec4u,
}

// Takes in vec4 `i`; of equals the earlier stays.
fn consider(best: ptr<function, Lanes>, merit: vec4u, i: u32) {
  let greater = merit > (*best).merit;
  (*best).merit = select((*best).merit, merit, greater);
  (*best).at = select((*best).at, vec4u(i), greater);
}

fn best_of(lanes: Lanes) -> Candidate {
  let ids = lanes.at * 4u + LANES;
  let low = better(Candidate(lanes.merit.x, ids.x), Candidate(lanes.merit.y, ids.y));
  return better(low, better(Candidate(lanes.merit.z, ids.z), Candidate(lanes.merit.w, ids.w)));
}

fn consider_logits(best: ptr<function, Lanes>, bits: vec4u, i: u32) {
  let key = keys(bits, i);
  consider(best, select(key, vec4u(NOT_FINITE), not_finite(bits) & (key != vec4u(NO_KEY))), i);
}

// The largest penalised logit, by its key, or merit NOT_FINITE.
fn largest_logit(tid: u32, row: RowState) -> Candidate {
  var best = Lanes(vec4u(NO_KEY), vec4u(0u));
  for (var first = tid; first < V4; first += AT_ONCE * THREADS) {
    @if(!four) consider_logits(&best, penalised(row, first), first);
    @if(four) var trip = trip_from(row, first);
    @if(four) for (var j = 0u; j < AT_ONCE; j++) {
      consider_logits(&best, trip.a, first + j * THREADS);
      trip = advanced(trip);
    }
  }
  return best_candidate(tid, best_of(best));
}

fn count_reaching(reached: ptr<function, vec4u>, thresholds: vec4u, bits: vec4u, i: u32) {
  let key = keys(bits, i);
  *reached += vec4u(vec4u(key.x) >= thresholds) + vec4u(vec4u(key.y) >= thresholds)
    + vec4u(vec4u(key.z) >= thresholds) + vec4u(vec4u(key.w) >= thresholds);
}

// How many keys reach each of four thresholds (above NO_KEY).
fn counts_from(tid: u32, row: RowState, thresholds: vec4u) -> vec4u {
  var reached = vec4u();
  for (var first = tid; first < V4; first += AT_ONCE * THREADS) {
    @if(!four) count_reaching(&reached, thresholds, penalised(row, first), first);
    @if(four) var trip = trip_from(row, first);
    @if(four) for (var j = 0u; j < AT_ONCE; j++) {
      count_reaching(&reached, thresholds, trip.a, first + j * THREADS);
      trip = advanced(trip);
    }
  }
  return sum_counts(tid, reached);
}

// Step 3: a key that exactly the k largest logits and those equal to the k-th reach. Each pass cuts the interval
// [low, high) in five: at least k keys reach `low`, fewer reach `high`. It ends early when just k reach a threshold.
fn top_k_key(tid: u32, row: RowState, k: u32, largest: u32) -> u32 {
  var low = NO_KEY + 1u;
  var high = largest + 1u;
  // By data: bisection of the logits, the same in all threads; each pass leaves a fifth of at most 2³² keys.
  while (high - low > 1u) {
    let width = max((high - low) / 5u, 1u);
    let thresholds = min(vec4u(low) + vec4u(width) * vec4u(1u, 2u, 3u, 4u), vec4u(high));
    let counts = counts_from(tid, row, thresholds);
    let enough = counts >= vec4u(k);
    let exact = counts == vec4u(k);
    let reached = max(max(select(low, thresholds.x, enough.x), select(low, thresholds.y, enough.y)),
      max(select(low, thresholds.z, enough.z), select(low, thresholds.w, enough.w)));
    if (any(exact)) {
      return reached;
    }
    high = min(min(select(thresholds.x, high, enough.x), select(thresholds.y, high, enough.y)),
      min(select(thresholds.z, high, enough.z), select(thresholds.w, high, enough.w)));
    low = reached;
  }
  return low;
}

fn add_masses(sums: ptr<function, vec4f>, row: RowState, key: u32, bits: vec4u, i: u32) {
  let counts = keys(bits, i) >= vec4u(key);
  *sums += select(vec4f(), exp(max(scaled(row, bits), vec4f(-100.0))), counts);
}

// Sum of exp(z) over the tokens whose keys reach `key`, which is above NO_KEY.
fn mass_from(tid: u32, row: RowState, key: u32) -> f32 {
  var sums = vec4f();
  for (var first = tid; first < V4; first += AT_ONCE * THREADS) {
    @if(!four) add_masses(&sums, row, key, penalised(row, first), first);
    @if(four) var trip = trip_from(row, first);
    @if(four) for (var j = 0u; j < AT_ONCE; j++) {
      add_masses(&sums, row, key, trip.a, first + j * THREADS);
      trip = advanced(trip);
    }
  }
  return sum_masses(tid, (sums.x + sums.y) + (sums.z + sums.w));
}

// What decides a draw.
struct Rule {
  seed: vec2u,
  position: u32,
  key: u32,   // above NO_KEY
  least: f32, // of z
}

fn consider_scores(best: ptr<function, Lanes>, row: RowState, rule: Rule, bits: vec4u, i: u32) {
  let z = scaled(row, bits);
  let stays = (keys(bits, i) >= vec4u(rule.key)) & (z >= vec4f(rule.least));
  if (any(stays)) {
    let merit = order_key(bitcast<vec4u>(z + gumbel(rule.seed, rule.position, i)));
    consider(best, select(vec4u(NO_KEY), merit, stays), i);
  }
}

// Of the tokens whose keys reach `rule.key` and whose z reaches `rule.least` the one of the largest z + noise.
fn draw_from(tid: u32, row: RowState, rule: Rule) -> Candidate {
  var best = Lanes(vec4u(NO_KEY), vec4u(0u));
  for (var first = tid; first < V4; first += AT_ONCE * THREADS) {
    @if(!four) consider_scores(&best, row, rule, penalised(row, first), first);
    @if(four) var trip = trip_from(row, first);
    @if(four) for (var j = 0u; j < AT_ONCE; j++) {
      consider_scores(&best, row, rule, trip.a, first + j * THREADS);
      trip = advanced(trip);
    }
  }
  return best_candidate(tid, best_of(best));
}

fn key_of(row: RowState, id: u32) -> u32 {
  return keys(penalised(row, id / 4u), id / 4u)[id & 3u];
}

// Steps 3 to 6. `largest` is the key of the largest logit.
fn draw(tid: u32, row: RowState, setting: Setting, position: u32, largest: u32) -> u32 {
  // top-k
  var key = NO_KEY + 1u;
  // By data: the sequence's setting, the same in all threads.
  if (setting.top_k > 0u && setting.top_k < VOCAB) {
    key = top_k_key(tid, row, setting.top_k, largest);
  }
  // min-p. log(1) need not be 0 on every device; the largest has z = 0 and must stay.
  let least = select(-1e38, min(log(max(setting.min_p, 1e-37)), 0.0), setting.min_p > 0.0);

  // draws, until one lies within top-p
  let seed = vec2u(setting.seed_low, setting.seed_high);
  let cut = setting.top_p < 1.0;
  // Above the largest there is a mass of exactly 0, so the loop ends whatever top_p is.
  var share = 0.0;
  var id = NO_TOKEN;
  // By data: whether the token that was drawn lies within the nucleus, the same in all threads; it ends at the largest key.
  loop {
    // By data: as the loop.
    if (cut) {
      let mass = mass_from(tid, row, key);
      if (id == NO_TOKEN) {
        share = max(setting.top_p * mass, 1e-30);
      } else if (mass < share) {
        break;
      }
    }
    id = draw_from(tid, row, Rule(seed, position, key, least)).id;
    if (!cut) {
      break;
    }
    key = key_of(row, id) + 1u;
  }
  return id;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) tid: u32) {
  if (group.x >= step.out_count) {
    return;
  }
  let target_row = step.outs[group.x];
  let setting = settings[target_row.sequence];
  let inverse_temperature = 1.0 / max(setting.temperature, 1e-6);
  @if(!adjusted) var row = RowState(group.x * V4, target_row.sequence * SEEN_WORDS, setting.repetition_penalty,
    inverse_temperature, 0.0);
  @if(adjusted) var row = RowState(group.x * V4, target_row.sequence * SEEN_WORDS, setting.repetition_penalty,
    inverse_temperature, 0.0, setting.flags & (ADDENDS | CONSTRAINED), target_row.sequence * 2u * V4,
    setting.presence_penalty, setting.frequency_penalty);

  // the largest logit: the result at temperature 0
  let top = largest_logit(tid, row);
  var id = NO_TOKEN;
  // By data: the logits, the same in all threads.
  if (top.merit != NOT_FINITE) {
    id = top.id;
    // By data: the sequence's setting, the same in all threads.
    if (setting.temperature > 0.0) {
      row.largest = bitcast<vec4f>(penalised(row, id / 4u))[id & 3u];
      id = draw(tid, row, setting, target_row.position, top.merit);
    }
  }

  // the token, and its bit of `seen`
  storageBarrier(); // after the last reads of seen and counts by other threads
  if (tid == 0u) {
    tokens[target_row.token_index] = id;
    if (id != NO_TOKEN) {
      seen[row.seen_start + id / 32u] |= 1u << (id & 31u);
      @if(adjusted) if ((row.flags & ADDENDS) != 0u) {
        adjustments[row.adjustment_start + V4 + id / 4u][id & 3u] += 1.0;
      }
    }
  }
}
