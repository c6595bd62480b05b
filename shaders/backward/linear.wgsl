// Gradient with respect to a linear layer's input, dx = dy·W: the transposed product over the one layout of weights
// (lib/weights.wgsl). A strip holds, for each input k, the weights of four outputs: dx[k] is the sum over strips of
// dot(strip[k], dy of the strip's outputs).
//
// Bindings: 0 args, 1 weights, 2 gradient dy, 4 output dx [variants][rows][K4]. A matrix in parts takes a dispatch for
// each, and all but the first add to what is there.
// `spans`: dy is one row [rows][N4] of all outputs, and each of the `variants` written takes SPANS ranges of them, the
//          outputs that were made from that variant of the input. args.spans holds (first, end, –, –) for each. `ragged`:
//          ranges may begin or end within a strip, whose other outputs count as 0.
// `heads`: dy is [heads][rows][N4], a gradient for each head, and input k belongs to head k / HEAD_DIM. `mixed`: HEAD_DIM
//          is not a multiple of 4, and four neighbouring inputs may belong to different heads.
//
// Parallel: a thread for each four inputs (x), ROWS rows (y) and variant (z). Neighbours read neighbouring blocks; a weight
// serves all rows of a thread. No workgroup memory. Condition rows_8: ROWS is 8, else 4. Rows beyond the last read the last
// row and are not written. The shape is constants or, with `any_shape`, args, as in linear/operands.wgsl.
// Summation class transposed_serial: one fma chain per input, over ascending outputs.
import package::lib::step::step;
import package::lib::weight_blocks::{block, strip_start};
@if(!any_shape) import constants::{K4, N4, STRIPS};
@if(!any_shape && heads) import constants::{HEAD_DIM, HEADS};
import constants::{ROWS, SPANS, SPAN_TABLE};

struct Args {
  @if(any_shape) k4: u32,
  @if(any_shape) n4: u32,
  @if(any_shape) strips: u32,
  @if(any_shape && heads) heads: u32,
  @if(any_shape && heads) head_dim: u32,
  first_strip: u32,
  accumulate: u32,  // 1: add to the output
  grad_stride: u32, // `heads`: vec4s between heads
  out_stride: u32,  // `spans`: vec4s between variants
  @if(spans) spans: array<vec4u, SPAN_TABLE>,
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(2) var<storage, read> gradient: array<vec4f>;
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>;

fn output_width4() -> u32 {
  @if(any_shape) return args.k4;
  @else return K4;
}

fn gradient_width4() -> u32 {
  @if(any_shape) return args.n4;
  @else return N4;
}

fn strip_count() -> u32 {
  @if(any_shape) return args.strips;
  @else return STRIPS;
}

@if(heads) fn head_count() -> u32 {
  @if(any_shape) return args.heads;
  @else return HEADS;
}

@if(heads) fn head_dim() -> u32 {
  @if(any_shape) return args.head_dim;
  @else return HEAD_DIM;
}

// acc + the weights of four outputs at four inputs, transposed, times the outputs' gradients.
fn mac(acc: vec4f, w: mat4x4f, g: vec4f) -> vec4f {
  return fma(w[3], vec4f(g.w), fma(w[2], vec4f(g.z), fma(w[1], vec4f(g.y), fma(w[0], vec4f(g.x), acc))));
}

// The same where each input has a gradient of its own.
@if(mixed) fn mac_mixed(acc: vec4f, w: mat4x4f, at: vec4u) -> vec4f {
  let g = transpose(mat4x4f(gradient[at.x], gradient[at.y], gradient[at.z], gradient[at.w]));
  return fma(w[3], g[3], fma(w[2], g[2], fma(w[1], g[1], fma(w[0], g[0], acc))));
}

// Outputs outside of [first, end) count as 0.
@if(ragged) fn within(n4: u32, span: vec4u, g: vec4f) -> vec4f {
  let n = 4u * n4 + vec4u(0u, 1u, 2u, 3u);
  return select(vec4f(), g, (n >= vec4u(span.x)) & (n < vec4u(span.y)));
}

fn finish(variant: u32, row: u32, k4: u32, acc: vec4f) {
  if (row >= step.row_count) {
    return;
  }
  let at = variant * args.out_stride + row * output_width4() + k4;
  var dx = acc;
  if (args.accumulate == 1u) {
    dx += output[at];
  }
  output[at] = dx;
}

@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
  let k4 = id.x;
  let width4 = output_width4();
  if (k4 >= width4) {
    return;
  }
  let n4s = gradient_width4();
  let strips = strip_count();
  let row = ROWS * id.y;
  let last = step.row_count - 1u;
  let r0 = min(row, last) * n4s;
  let r1 = min(row + 1u, last) * n4s;
  let r2 = min(row + 2u, last) * n4s;
  let r3 = min(row + 3u, last) * n4s;
  @if(rows_8) let r4 = min(row + 4u, last) * n4s;
  @if(rows_8) let r5 = min(row + 5u, last) * n4s;
  @if(rows_8) let r6 = min(row + 6u, last) * n4s;
  @if(rows_8) let r7 = min(row + 7u, last) * n4s;
  var a0 = vec4f();
  var a1 = vec4f();
  var a2 = vec4f();
  var a3 = vec4f();
  var a4 = vec4f();
  var a5 = vec4f();
  var a6 = vec4f();
  var a7 = vec4f();

  // sums over the outputs
  @if(spans) for (var i = 0u; i < SPANS; i++) {
    let span = args.spans[id.z * SPANS + i];
    let first = max(span.x / 4u, args.first_strip);
    let end = min((span.y + 3u) / 4u, args.first_strip + strips);
    for (var n4 = first; n4 < end; n4++) {
      let w = transpose(block(strip_start(n4 - args.first_strip, width4), k4));
      @if(ragged) {
        a0 = mac(a0, w, within(n4, span, gradient[r0 + n4]));
        a1 = mac(a1, w, within(n4, span, gradient[r1 + n4]));
        a2 = mac(a2, w, within(n4, span, gradient[r2 + n4]));
        a3 = mac(a3, w, within(n4, span, gradient[r3 + n4]));
        @if(rows_8) { a4 = mac(a4, w, within(n4, span, gradient[r4 + n4])); }
        @if(rows_8) { a5 = mac(a5, w, within(n4, span, gradient[r5 + n4])); }
        @if(rows_8) { a6 = mac(a6, w, within(n4, span, gradient[r6 + n4])); }
        @if(rows_8) { a7 = mac(a7, w, within(n4, span, gradient[r7 + n4])); }
      } @else {
        a0 = mac(a0, w, gradient[r0 + n4]);
        a1 = mac(a1, w, gradient[r1 + n4]);
        a2 = mac(a2, w, gradient[r2 + n4]);
        a3 = mac(a3, w, gradient[r3 + n4]);
        @if(rows_8) { a4 = mac(a4, w, gradient[r4 + n4]); }
        @if(rows_8) { a5 = mac(a5, w, gradient[r5 + n4]); }
        @if(rows_8) { a6 = mac(a6, w, gradient[r6 + n4]); }
        @if(rows_8) { a7 = mac(a7, w, gradient[r7 + n4]); }
      }
    }
  }
  @if(heads) {
    @if(mixed) let head = min((4u * k4 + vec4u(0u, 1u, 2u, 3u)) / head_dim(), vec4u(head_count() - 1u)) * args.grad_stride;
    @else let head = 4u * k4 / head_dim() * args.grad_stride;
    for (var strip = 0u; strip < strips; strip++) {
      let w = transpose(block(strip_start(strip, width4), k4));
      let at = head + args.first_strip + strip;
      @if(mixed) {
        a0 = mac_mixed(a0, w, at + r0);
        a1 = mac_mixed(a1, w, at + r1);
        a2 = mac_mixed(a2, w, at + r2);
        a3 = mac_mixed(a3, w, at + r3);
        @if(rows_8) { a4 = mac_mixed(a4, w, at + r4); }
        @if(rows_8) { a5 = mac_mixed(a5, w, at + r5); }
        @if(rows_8) { a6 = mac_mixed(a6, w, at + r6); }
        @if(rows_8) { a7 = mac_mixed(a7, w, at + r7); }
      } @else {
        a0 = mac(a0, w, gradient[at + r0]);
        a1 = mac(a1, w, gradient[at + r1]);
        a2 = mac(a2, w, gradient[at + r2]);
        a3 = mac(a3, w, gradient[at + r3]);
        @if(rows_8) { a4 = mac(a4, w, gradient[at + r4]); }
        @if(rows_8) { a5 = mac(a5, w, gradient[at + r5]); }
        @if(rows_8) { a6 = mac(a6, w, gradient[at + r6]); }
        @if(rows_8) { a7 = mac(a7, w, gradient[at + r7]); }
      }
    }
  }

  // the rows
  for (var i = 0u; i < ROWS; i++) {
    var a = a0;
    switch i {
      case 1u { a = a1; }
      case 2u { a = a2; }
      case 3u { a = a3; }
      @if(rows_8) case 4u { a = a4; }
      @if(rows_8) case 5u { a = a5; }
      @if(rows_8) case 6u { a = a6; }
      @if(rows_8) case 7u { a = a7; }
      default {}
    }
    finish(id.z, row + i, k4, a);
  }
}
