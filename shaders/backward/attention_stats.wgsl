// Of every row and head: the log-sum-exp L of its scaled scores, and δ = ⟨dz, z⟩. See backward/attention.wgsl.
//
// Bindings: 1 q, 2 keys, 3 z, 5 dz; 4 output [rows][HEADS] of (L, δ).
// Parallel: a thread per head (x) of a row (y).
// Summation class: a score is the Lanes' chains over ascending dimensions; keys ascend, each fading what came before.
import package::attention::softmax::MASKED;
import package::backward::attention::{across, visible, GROUP, HEAD, Lane, ROW, SLOT};
import package::lib::step::step;
import constants::HEADS;

struct Args {
  scale: f32,
  window: u32,
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> q: array<Lane>;
@group(1) @binding(2) var<storage, read> keys: array<Lane>;
@group(1) @binding(3) var<storage, read> z: array<Lane>;
@group(1) @binding(5) var<storage, read> dz: array<Lane>;
@group(1) @binding(4) var<storage, read_write> output: array<vec2f>;

@compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u) {
  let head = id.x;
  let row = id.y;
  if (head >= HEADS || row >= step.row_count) {
    return;
  }
  let at = row * ROW + head * HEAD;
  let key_at = head / GROUP * HEAD;
  let range = visible(row, args.window);

  // log-sum-exp of the scores
  var top = MASKED;
  var total = 0.0;
  for (var j = range.x; j <= range.y; j++) {
    var dots = Lane();
    for (var i = 0u; i < HEAD; i++) {
      dots = fma(q[at + i], keys[j * SLOT + key_at + i], dots);
    }
    let score = across(dots) * args.scale;
    let higher = max(top, score);
    total = fma(total, exp(top - higher), exp(score - higher));
    top = higher;
  }

  // ⟨dz, z⟩
  var delta = Lane();
  for (var i = 0u; i < HEAD; i++) {
    delta = fma(dz[at + i], z[at + i], delta);
  }
  output[row * HEADS + head] = vec2f(top + log(total), across(delta));
}
