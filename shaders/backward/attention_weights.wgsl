// A tile of attention's weights p and of their gradients w, for all heads: see backward/attention.wgsl.
//
// Bindings: 1 q, 2 keys, 3 values, 5 dz, 6 stats [rows][HEADS] of (L, δ); 4 output [HEADS][rows][TILE] of (p, w), both 0
// where a row does not see a key.
// Parallel: a thread per key of the tile (x), row (y) and head (z). Summation class: the Lanes' chains over ascending
// dimensions.
import package::backward::attention::{across, visible, GROUP, HEAD, Lane, ROW, SLOT};
import package::lib::step::step;
import constants::{HEADS, TILE};

struct Args {
  scale: f32,
  window: u32,
  first_key: u32, // of the tile
  key_count: u32,
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> q: array<Lane>;
@group(1) @binding(2) var<storage, read> keys: array<Lane>;
@group(1) @binding(3) var<storage, read> values: array<Lane>;
@group(1) @binding(5) var<storage, read> dz: array<Lane>;
@group(1) @binding(6) var<storage, read> stats: array<vec2f>;
@group(1) @binding(4) var<storage, read_write> output: array<vec2f>;

@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y;
  let head = id.z;
  if (id.x >= args.key_count || row >= step.row_count) {
    return;
  }
  let key = args.first_key + id.x;
  let range = visible(row, args.window);
  var pair = vec2f();
  if (key >= range.x && key <= range.y) {
    let at = row * ROW + head * HEAD;
    let key_at = key * SLOT + head / GROUP * HEAD;
    // q·k and dz·v
    var dots = Lane();
    var gains = Lane();
    for (var i = 0u; i < HEAD; i++) {
      dots = fma(q[at + i], keys[key_at + i], dots);
      gains = fma(dz[at + i], values[key_at + i], gains);
    }
    // weight and its gradient
    let stat = stats[row * HEADS + head];
    let p = exp(across(dots) * args.scale - stat.x);
    pair = vec2f(p, args.scale * p * (across(gains) - stat.y));
  }
  output[(head * step.row_count + row) * TILE + id.x] = pair;
}
