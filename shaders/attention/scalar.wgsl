// Attention for head widths that are not a multiple of four: plain, scalar, without barriers.
//
// z[row, head] = Σ_j softmax_j(scale · q[row, head]·K[j]) · V[j] over the keys j that the row sees.
//
// Parallel: an invocation owns one vec4 of a row of z. Heads straddle vec4s here, and a vec4 must have one writer,
// so it walks the heads whose outputs lie in its vec4, each with a softmax of its own over masked lanes; scores
// are recomputed for every vec4 of a head. No published model has such heads: this kernel is right, not fast.
//
// Summation `attention_scalar`: a score is one chain over ascending dimensions, keys ascend one by one, each
// fading what came before.
import package::lib::step::step;
import package::attention::softmax::{first_visible, normalised, MASKED};
import constants::{HEADS, KV_HEADS, HEAD_DIM};
@if(staged) import package::stages::neuron_scale::neuron_scale;
@if(tap_z) import package::lib::tap::tap;

struct Args {
  scale: f32,
  window: u32,
  slot_stride: u32,
  @if(staged) record_stride: u32,
  @if(staged) list_z: vec4u,
  @if(tap_z) tap_z: u32,
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> q: array<f32>;       // [row][WIDTH4 · 4]
@group(1) @binding(2) var<storage, read> k_cache: array<f32>; // [slot][SLOT]
@group(1) @binding(3) var<storage, read> v_cache: array<f32>;
@group(1) @binding(4) var<storage, read> slots: array<u32>;   // [sequence][position]
@group(1) @binding(5) var<storage, read_write> z: array<vec4f>;

const WIDTH = HEADS * HEAD_DIM;
const WIDTH4 = (WIDTH + 3u) / 4u;
const SLOT = (KV_HEADS * HEAD_DIM + 3u) / 4u * 4u;

@compute @workgroup_size(16)
fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= WIDTH4) { return; }
  let row = id.y;
  let last = step.rows[row].position;
  let first = first_visible(last, args.window);
  let table = step.rows[row].sequence * args.slot_stride;
  let outputs = 4u * id.x + vec4u(0u, 1u, 2u, 3u);

  var result = vec4f(); // lanes beyond WIDTH stay 0
  for (var head = outputs.x / HEAD_DIM; head <= min(outputs.w, WIDTH - 1u) / HEAD_DIM; head++) {
    let q_at = row * WIDTH4 * 4u + head * HEAD_DIM;
    let head_at = head / (HEADS / KV_HEADS) * HEAD_DIM;
    let mine = (outputs / HEAD_DIM == vec4u(head)) & (outputs < vec4u(WIDTH));
    let dims = select(vec4u(), outputs % HEAD_DIM, mine);
    var top = MASKED;
    var total = 0.0;
    var o = vec4f();
    for (var j = first; j <= last; j++) {
      let at = slots[table + j] * SLOT + head_at;
      // score
      var score = 0.0;
      for (var i = 0u; i < HEAD_DIM; i++) { score = fma(q[q_at + i], k_cache[at + i], score); }
      score *= args.scale;
      // weight
      let new_top = max(top, score);
      let fade = exp(top - new_top);
      let weight = exp(score - new_top);
      top = new_top;
      total = fma(total, fade, weight);
      // value
      let v = vec4f(v_cache[at + dims.x], v_cache[at + dims.y], v_cache[at + dims.z], v_cache[at + dims.w]);
      o = fma(vec4f(weight), v, o * fade);
    }
    result = select(result, normalised(o, total), mine);
  }
  // site: attn_z
  @if(staged) result = neuron_scale(args.list_z, row * args.record_stride, id.x, result);
  z[row * WIDTH4 + id.x] = result;
  @if(tap_z) tap(args.tap_z, row, WIDTH4, id.x, result);
}
