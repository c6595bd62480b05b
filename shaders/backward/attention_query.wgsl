// dq of the rows of a step, from a tile of keys: dq_i = Σ_j w·k_j. See backward/attention.wgsl.
//
// Bindings: 1 tile [HEADS][rows][TILE] of (p, w), 2 keys; 4 output, rows of dq, dk, dv.
// Parallel: a thread per Lane of dq (x) of a row (y). Summation class: serial, over ascending keys.
import package::backward::attention::{visible, GRAD_ROW, GROUP, HEAD, Lane, QUERIES, SLOT};
import package::lib::step::step;
import constants::TILE;

struct Args {
  window: u32,
  first_key: u32, // of the tile
  key_count: u32,
  accumulate: u32, // 1: tiles before this one have been added already
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> tile: array<vec2f>;
@group(1) @binding(2) var<storage, read> keys: array<Lane>;
@group(1) @binding(4) var<storage, read_write> output: array<Lane>;

@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
  let row = id.y;
  if (id.x >= QUERIES || row >= step.row_count) {
    return;
  }
  let head = id.x / HEAD;
  let pairs_at = (head * step.row_count + row) * TILE;
  let key_at = head / GROUP * HEAD + id.x % HEAD;
  let range = visible(row, args.window);
  var sum = Lane();
  if (args.accumulate == 1u) {
    sum = output[row * GRAD_ROW + id.x];
  }
  let end = min(range.y + 1u, args.first_key + args.key_count);
  for (var key = max(range.x, args.first_key); key < end; key++) {
    sum = fma(Lane(tile[pairs_at + key - args.first_key].y), keys[key * SLOT + key_at], sum);
  }
  output[row * GRAD_ROW + id.x] = sum;
}
