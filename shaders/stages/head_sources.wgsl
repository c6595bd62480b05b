// Outputs of single heads as sources of an edge mask: out_h = z_h · W_O[h] + b_O / H (the bias only if it belongs to the
// heads), for those heads of a layer that some masked edge needs.
//
// Bindings: 1 W_O in strips (lib/weights.wgsl), 2 z rows [rows][K4], 3 params, 9 stage table with a Head per listed head,
// 10 sources [slots][rows][OUT4].
// Parallel: a thread per strip of outputs (x), ROWS = 4 rows (y) and listed head (z). A thread streams the part of its
// strip that belongs to the head, contiguous in memory. No workgroup memory: HEAD_DIM inputs are too few to share.
// `vec4_heads`: HEAD_DIM is a multiple of 4 and inputs are read four at a time.
// Summation class: serial.
import package::lib::step::step;
import package::lib::weight_blocks::{block, strip_start};
import package::lib::weight_columns::column;
import package::linear::operands::mac;
import package::stages::head::head_of;
import package::stages::table::stages;
import constants::{HEAD_DIM, HEADS, K4, OUT4, STRIPS};

struct Args {
  first_strip: u32,
  bias: u32,        // in vec4s of params
  heads: u32,       // the first Head
  slot_stride: u32, // vec4s from one slot of the source table to the next
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(2) var<storage, read> z: array<vec4f>;
@if(bias) @group(1) @binding(3) var<storage, read> params: array<vec4f>;
@group(1) @binding(10) var<storage, read_write> sources: array<vec4f>;

@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let strip = id.x;
  let row = id.y * 4u;
  if (strip >= STRIPS || row >= step.row_count) {
    return;
  }
  let head = head_of(stages[args.heads + id.z]);
  let last = step.row_count - 1u;
  let x0 = row * K4;
  let x1 = min(row + 1u, last) * K4;
  let x2 = min(row + 2u, last) * K4;
  let x3 = min(row + 3u, last) * K4;
  var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
  // z_h · W_O[h]
  @if(vec4_heads) {
    let first = head.head * (HEAD_DIM / 4u);
    let weights_at = strip_start(strip, K4);
    for (var i = 0u; i < HEAD_DIM / 4u; i++) {
      let k = first + i;
      let w = block(weights_at, k);
      a0 = mac(a0, w, z[x0 + k]);
      a1 = mac(a1, w, z[x1 + k]);
      a2 = mac(a2, w, z[x2 + k]);
      a3 = mac(a3, w, z[x3 + k]);
    }
  } @else {
    let first = head.head * HEAD_DIM;
    for (var i = 0u; i < HEAD_DIM; i++) {
      let k = first + i;
      let w = column(strip, k);
      a0 = fma(w, vec4f(z[x0 + k / 4u][k % 4u]), a0);
      a1 = fma(w, vec4f(z[x1 + k / 4u][k % 4u]), a1);
      a2 = fma(w, vec4f(z[x2 + k / 4u][k % 4u]), a2);
      a3 = fma(w, vec4f(z[x3 + k / 4u][k % 4u]), a3);
    }
  }

  // bias, and into the source table
  let n4 = args.first_strip + strip;
  var share = vec4f();
  @if(bias) share = params[args.bias + n4] / f32(HEADS);
  let to = head.slot * args.slot_stride + row * OUT4 + n4;
  sources[to] = a0 + share;
  if (row + 1u <= last) { sources[to + OUT4] = a1 + share; }
  if (row + 2u <= last) { sources[to + 2u * OUT4] = a2 + share; }
  if (row + 3u <= last) { sources[to + 3u * OUT4] = a3 + share; }
}
