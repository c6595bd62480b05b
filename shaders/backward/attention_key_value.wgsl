// dk and dv of a tile of keys, from the rows of a step: dk_j = Σ_i w·q_i and dv_j = Σ_i p·dz_i over all query heads that
// share the key. See backward/attention.wgsl.
//
// Bindings: 1 tile [HEADS][rows][TILE] of (p, w), 2 q, 3 dz; 4 output, the keys' rows of dq, dk, dv.
// Parallel: a thread per Lane of dk and dv (x) of a key (y). No two threads write one place, so nothing is added at once.
// Summation class: serial, over query heads and in each over ascending rows.
import package::backward::attention::{GRAD_ROW, GROUP, HEAD, KEYS, Lane, QUERIES, ROW};
import package::lib::step::step;
import constants::TILE;

struct Args {
  key_count: u32,
  diagonal: u32,   // 1: the rows of the step are the keys of the tile
  accumulate: u32, // 1: earlier rows have been added already
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> tile: array<vec2f>;
@group(1) @binding(2) var<storage, read> q: array<Lane>;
@group(1) @binding(3) var<storage, read> dz: array<Lane>;
@group(1) @binding(4) var<storage, read_write> output: array<Lane>;

@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
  let key = id.y;
  if (id.x >= KEYS || key >= args.key_count) {
    return;
  }
  let at = key * GRAD_ROW + QUERIES + id.x;
  var dk = Lane();
  var dv = Lane();
  if (args.accumulate == 1u) {
    dk = output[at];
    dv = output[at + KEYS];
  }
  // Of the keys themselves, those before a key do not see it.
  let first = select(0u, key, args.diagonal == 1u);
  for (var h = 0u; h < GROUP; h++) {
    let head = id.x / HEAD * GROUP + h;
    for (var row = first; row < step.row_count; row++) {
      let pair = tile[(head * step.row_count + row) * TILE + key];
      let at_row = row * ROW + head * HEAD + id.x % HEAD;
      dk = fma(Lane(pair.y), q[at_row], dk);
      dv = fma(Lane(pair.x), dz[at_row], dv);
    }
  }
  output[at] = dk;
  output[at + KEYS] = dv;
}
