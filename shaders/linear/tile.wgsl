// Linear layer through workgroup memory: a workgroup of 64 threads computes 64 (`rows_64`) or 32 rows × 64 outputs and
// walks K in steps of eight, sharing each step's inputs and weights.
//
// Parallel: threads form an 8 × 8 grid; thread (tx, ty) owns rows ty, ty + 8, … of the tile, ROWS_EACH of them, and the
// neighbouring strips 2·tx and 2·tx + 1. x = tiles of 16 strips, y = tiles of rows. Bindings: linear/operands.wgsl.
// For four k a thread reads eight vec4s of inputs and eight of weights from workgroup memory and does 256 fmas; with 32
// rows four, eight and 128. The small tile is for steps whose large tiles would be too few to fill a GPU.
//
// x_tile is [k4][row], four k of a row in a vec4 as they come from memory. w_tile is [k][slot], one strip's weights at
// k; strips 2·tx and 2·tx + 1 lie in slots tx and tx + 8, so that adjacent threads read adjacent vec4s. The strides
// are such that eight neighbouring threads meet eight different vec4-wide banks when they store as when they read.
// Every thread fetches two vec4s of weights and one or two of inputs per step, those of the next step before it computes
// this one, so that memory works meanwhile; nothing is done with the values until they are stored, so nobody waits for them earlier.
//
// Trip counts are constants and thread ids index workgroup memory without passing through a function: drivers then
// prove the indices in range and leave WebGPU's bounds clamps out of the loop. Rows and strips beyond the end read the
// last one and are not written. What a workgroup's steps reach beyond K (`ragged`) reads inputs as 0.
// Summation class: serial. (The added zeros change no sum: at most they turn a -0 that an underflow left into +0.)
//
// `split`: z = parts of K, PARTS of them, of as many steps each. If a matrix has few outputs and a step few rows, tiles
// alone would leave most of a GPU idle, each waiting for its own loads. A workgroup leaves its sums in binding 4, `partials`
// [part][row][STRIPS], and linear/merge.wgsl adds them up. Summation class: serial_parts<PARTS>.
import package::lib::weight_columns::column;
@if(!split) import package::linear::epilogue::finish_pair;
import package::linear::operands::{input, mac, row_count};
@if(grouped) import package::linear::operands::variant_start;
import constants::{K4, PARTS, ROWS_EACH, STRIPS};
@if(grouped) import constants::DH;

const STEP4 = 2u;                        // vec4s of k in a step
const STEPS = (K4 + STEP4 * PARTS - 1u) / (STEP4 * PARTS); // of a workgroup
@if(grouped) const HEAD_STRIPS = DH / 4u;
@if(grouped) const HEAD_TILES = (HEAD_STRIPS + 15u) / 16u;
const TILE_ROWS = 8u * ROWS_EACH;
const X_STRIDE = TILE_ROWS + 4u;
const W_STRIDE = 17u;

@if(split) @group(1) @binding(4) var<storage, read_write> partials: array<vec4f>;

var<workgroup> x_tile: array<vec4f, STEP4 * X_STRIDE>;
var<workgroup> w_tile: array<vec4f, 4u * STEP4 * W_STRIDE>;

// Inputs of row `at / K4`, or 0 beyond the end of K.
fn input_at(at: u32, k4: u32) -> vec4f {
  @if(ragged) return select(vec4f(), input[at + min(k4, K4 - 1u)], k4 < K4);
  @else return input[at + k4];
}

fn weight_at(strip: u32, k: u32) -> vec4f {
  @if(ragged) return column(strip, min(k, 4u * K4 - 1u));
  @else return column(strip, k);
}

@compute @workgroup_size(64) fn main(@builtin(local_invocation_index) t: u32, @builtin(workgroup_id) group: vec3u) {
  let rows = row_count();
  let tx = t % 8u;
  let ty = t / 8u;
  let row = group.y * TILE_ROWS;
  @if(!grouped) let strip = group.x * 16u;
  @if(!grouped) let end = STRIPS;
  @if(!grouped) let variant_at = 0u;
  // grouped: the tiles of a head end with it, so that a tile reads one variant; its width is a multiple of two strips.
  @if(grouped) let head = group.x / HEAD_TILES * HEAD_STRIPS;
  @if(grouped) let strip = head + group.x % HEAD_TILES * 16u;
  @if(grouped) let end = head + HEAD_STRIPS;
  @if(grouped) let variant_at = variant_start(4u * head);

  @if(split) let from_k4 = group.z * STEPS * STEP4;
  @else let from_k4 = 0u;
  // first step. What this thread fetches in a step: k4 = t % 2 of rows t / 2 and t / 2 + 32; k = t % 8 of strips t / 8 and t / 8 + 8.
  let from_x0 = variant_at + min(row + t / 2u, rows - 1u) * K4;
  @if(rows_64) let from_x1 = variant_at + min(row + t / 2u + 32u, rows - 1u) * K4;
  let from_w0 = min(strip + t / 8u, STRIPS - 1u);
  let from_w1 = min(strip + t / 8u + 8u, STRIPS - 1u);
  let to_w = t % 8u * W_STRIDE + t / 16u + t / 8u % 2u * 8u;
  x_tile[t % 2u * X_STRIDE + t / 2u] = input_at(from_x0, from_k4 + t % 2u);
  @if(rows_64) x_tile[t % 2u * X_STRIDE + t / 2u + 32u] = input_at(from_x1, from_k4 + t % 2u);
  w_tile[to_w] = weight_at(from_w0, 4u * from_k4 + t % 8u);
  w_tile[to_w + 4u] = weight_at(from_w1, 4u * from_k4 + t % 8u);
  workgroupBarrier();

  // sums. Row ty + 8·i of the tile: strip 2·tx in a<i>, strip 2·tx + 1 in b<i>.
  var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
  var a4 = vec4f(); var a5 = vec4f(); var a6 = vec4f(); var a7 = vec4f();
  var b0 = vec4f(); var b1 = vec4f(); var b2 = vec4f(); var b3 = vec4f();
  var b4 = vec4f(); var b5 = vec4f(); var b6 = vec4f(); var b7 = vec4f();

  for (var trip = 0u; trip < STEPS; trip++) {
    // loads of the next step
    let k4 = from_k4 + min(trip + 1u, STEPS - 1u) * STEP4;
    let next_x0 = input_at(from_x0, k4 + t % 2u);
    @if(rows_64) let next_x1 = input_at(from_x1, k4 + t % 2u);
    let next_w0 = weight_at(from_w0, 4u * k4 + t % 8u);
    let next_w1 = weight_at(from_w1, 4u * k4 + t % 8u);

    // products of this one
    for (var i = 0u; i < STEP4; i++) {
      let w = 4u * i * W_STRIDE + tx;
      let wa = mat4x4f(w_tile[w], w_tile[w + W_STRIDE], w_tile[w + 2u * W_STRIDE], w_tile[w + 3u * W_STRIDE]);
      let wb = mat4x4f(w_tile[w + 8u], w_tile[w + W_STRIDE + 8u], w_tile[w + 2u * W_STRIDE + 8u], w_tile[w + 3u * W_STRIDE + 8u]);
      let x = i * X_STRIDE + ty;
      a0 = mac(a0, wa, x_tile[x]);       b0 = mac(b0, wb, x_tile[x]);
      a1 = mac(a1, wa, x_tile[x + 8u]);  b1 = mac(b1, wb, x_tile[x + 8u]);
      a2 = mac(a2, wa, x_tile[x + 16u]); b2 = mac(b2, wb, x_tile[x + 16u]);
      a3 = mac(a3, wa, x_tile[x + 24u]); b3 = mac(b3, wb, x_tile[x + 24u]);
      @if(rows_64) { a4 = mac(a4, wa, x_tile[x + 32u]); b4 = mac(b4, wb, x_tile[x + 32u]); }
      @if(rows_64) { a5 = mac(a5, wa, x_tile[x + 40u]); b5 = mac(b5, wb, x_tile[x + 40u]); }
      @if(rows_64) { a6 = mac(a6, wa, x_tile[x + 48u]); b6 = mac(b6, wb, x_tile[x + 48u]); }
      @if(rows_64) { a7 = mac(a7, wa, x_tile[x + 56u]); b7 = mac(b7, wb, x_tile[x + 56u]); }
    }
    workgroupBarrier();
    x_tile[t % 2u * X_STRIDE + t / 2u] = next_x0;
    @if(rows_64) x_tile[t % 2u * X_STRIDE + t / 2u + 32u] = next_x1;
    w_tile[to_w] = next_w0;
    w_tile[to_w + 4u] = next_w1;
    workgroupBarrier();
  }

  // epilogue, row after row through one copy of it: written out eight times it would take most of the compile time
  let s = strip + 2u * tx;
  if (s >= end) { return; }
  for (var i = 0u; i < ROWS_EACH; i++) {
    let r = row + ty + 8u * i;
    if (r >= rows) { break; }
    var a = a0;
    var b = b0;
    switch i {
      case 1u { a = a1; b = b1; }
      case 2u { a = a2; b = b2; }
      case 3u { a = a3; b = b3; }
      @if(rows_64) case 4u { a = a4; b = b4; }
      @if(rows_64) case 5u { a = a5; b = b5; }
      @if(rows_64) case 6u { a = a6; b = b6; }
      @if(rows_64) case 7u { a = a7; b = b7; }
      default {}
    }
    @if(!split) finish_pair(r, s, a, b);
    @if(split) partials[(group.z * rows + r) * STRIPS + s] = a;
    @if(split) { if (s + 1u < end) { partials[(group.z * rows + r) * STRIPS + s + 1u] = b; } }
  }
}
