// The softmax weights themselves, for the capture of `attn_pattern`; inference does not run this.
//
// pattern[offset + (head · row_count + row) · key_stride + j] = softmax_j(scale · q[row, head]·K[j]) for the keys j
// that the row sees, and 0 for every other j < key_stride.
//
// Parallel: an invocation owns one row of one head and goes over its keys twice: it writes the scores and follows
// their maximum and sum, then turns what it wrote into weights. The entries of other rows it never touches.
//
// Summation `attention_pattern`: a score is one chain over ascending dimensions, the sum one over ascending keys.
import package::lib::step::step;
import package::attention::softmax::{first_visible, MASKED};
import constants::{HEADS, KV_HEADS, HEAD_DIM};

struct Args {
  scale: f32,       // multiplies q·k
  window: u32,      // keys a row sees at most, itself included; 0 = all
  slot_stride: u32, // entries of `slots` per sequence
  offset: u32,      // where this layer's region starts in `pattern`, in floats
  key_stride: u32,  // floats of a row of the pattern
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> q: array<f32>;       // [row][ROW]
@if(!f16_cache) @group(1) @binding(2) var<storage, read> k_cache: array<f32>; // [slot][SLOT]
@if(f16_cache) @group(1) @binding(2) var<storage, read> k_cache: array<u32>;  // two float16 each
@group(1) @binding(4) var<storage, read> slots: array<u32>;   // [sequence][position]
@group(1) @binding(5) var<storage, read_write> pattern: array<f32>;

const ROW = (HEADS * HEAD_DIM + 3u) / 4u * 4u;
const SLOT = (KV_HEADS * HEAD_DIM + 3u) / 4u * 4u;

fn key(at: u32) -> f32 {
  @if(f16_cache) return unpack2x16float(k_cache[at / 2u])[at % 2u];
  @else return k_cache[at];
}

@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.x;
  let head = id.y;
  if (row >= step.row_count) { return; }
  let last = step.rows[row].position;
  let first = first_visible(last, args.window);
  let table = step.rows[row].sequence * args.slot_stride;
  let q_at = row * ROW + head * HEAD_DIM;
  let head_at = head / (HEADS / KV_HEADS) * HEAD_DIM;
  let out = args.offset + (head * step.row_count + row) * args.key_stride;

  // scores
  var top = MASKED;
  var total = 0.0;
  for (var j = first; j <= last; j++) {
    let at = slots[table + j] * SLOT + head_at;
    var score = 0.0;
    for (var i = 0u; i < HEAD_DIM; i++) { score = fma(q[q_at + i], key(at + i), score); }
    score *= args.scale;
    let new_top = max(top, score);
    total = fma(total, exp(top - new_top), exp(score - new_top));
    top = new_top;
    pattern[out + j] = score;
  }

  // weights
  for (var j = 0u; j < args.key_stride; j++) {
    var weight = 0.0;
    if (j >= first && j <= last) { weight = exp(pattern[out + j] - top) / total; }
    pattern[out + j] = weight;
  }
}
