// Gradient with respect to a linear layer's input, dx = dy·W: the transposed product over the one layout of weights
// (lib/weights.wgsl). A strip holds, for each input k, the weights of four outputs: dx[k] is the sum over strips of
// dot(strip[k], dy of the strip's outputs).
//
// Bindings: 0 args, 1 weights, 2 gradient dy, 4 output dx [variants][rows][K4]. A matrix in parts takes a dispatch for
// each, and all but the first add to what stands there.
// `spans`: dy is one row [rows][N4] of all outputs, and each of the `variants` written takes SPANS ranges of them, the
//          outputs that were made from that variant of the input. args.spans holds (first, end, –, –) for each. `ragged`:
//          ranges may begin or end within a strip, whose other outputs count as 0.
// `heads`: dy is [heads][rows][N4], a gradient for each head, and input k belongs to head k / HEAD_DIM. `mixed`: HEAD_DIM
//          is no multiple of 4, and four neighbouring inputs may belong to different heads.
//
// Parallel: a thread for each four inputs (x), ROWS = 4 rows (y) and variant (z). Neighbours read neighbouring blocks; a
// weight serves four rows. No workgroup memory.
// Summation class transposed_serial: an input has four chains, lane l over outputs l, l + 4, … ascending; then
// (0 + 1) + (2 + 3).
import package::lib::step::step;
import package::lib::weights::block;
import constants::{HEAD_DIM, HEADS, K4, N4, SPANS, SPAN_TABLE, STRIPS};

struct Args {
  first_strip: u32,
  accumulate: u32,  // 1: add to the output
  grad_stride: u32, // `heads`: vec4s between heads
  out_stride: u32,  // `spans`: vec4s between variants
  @if(spans) spans: array<vec4u, SPAN_TABLE>,
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(2) var<storage, read> gradient: array<vec4f>;
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>;

// Column j of the accumulator belongs to input 4·k4 + j.
fn mac(acc: mat4x4f, w: mat4x4f, g: vec4f) -> mat4x4f {
  return mat4x4f(fma(w[0], g, acc[0]), fma(w[1], g, acc[1]), fma(w[2], g, acc[2]), fma(w[3], g, acc[3]));
}

// The same where each input has a gradient of its own.
@if(mixed) fn mac_mixed(acc: mat4x4f, w: mat4x4f, at: vec4u) -> mat4x4f {
  return mat4x4f(
    fma(w[0], gradient[at.x], acc[0]), fma(w[1], gradient[at.y], acc[1]),
    fma(w[2], gradient[at.z], acc[2]), fma(w[3], gradient[at.w], acc[3]),
  );
}

fn fold(acc: mat4x4f) -> vec4f {
  let t = transpose(acc);
  return (t[0] + t[1]) + (t[2] + t[3]);
}

// Outputs outside of [first, end) count as 0.
@if(ragged) fn within(n4: u32, span: vec4u, g: vec4f) -> vec4f {
  let n = 4u * n4 + vec4u(0u, 1u, 2u, 3u);
  return select(vec4f(), g, (n >= vec4u(span.x)) & (n < vec4u(span.y)));
}

fn finish(variant: u32, row: u32, k4: u32, acc: mat4x4f) {
  if (row >= step.row_count) {
    return;
  }
  let at = variant * args.out_stride + row * K4 + k4;
  var dx = fold(acc);
  if (args.accumulate == 1u) {
    dx += output[at];
  }
  output[at] = dx;
}

@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
  let k4 = id.x;
  if (k4 >= K4) {
    return;
  }
  let row = 4u * id.y;
  let last = step.row_count - 1u;
  let r0 = min(row, last) * N4;
  let r1 = min(row + 1u, last) * N4;
  let r2 = min(row + 2u, last) * N4;
  let r3 = min(row + 3u, last) * N4;
  var a0 = mat4x4f(); var a1 = mat4x4f(); var a2 = mat4x4f(); var a3 = mat4x4f();
  @if(spans) for (var i = 0u; i < SPANS; i++) {
    let span = args.spans[id.z * SPANS + i];
    let first = max(span.x / 4u, args.first_strip);
    let end = min((span.y + 3u) / 4u, args.first_strip + STRIPS);
    for (var n4 = first; n4 < end; n4++) {
      let w = block(n4 - args.first_strip, k4);
      @if(ragged) {
        a0 = mac(a0, w, within(n4, span, gradient[r0 + n4]));
        a1 = mac(a1, w, within(n4, span, gradient[r1 + n4]));
        a2 = mac(a2, w, within(n4, span, gradient[r2 + n4]));
        a3 = mac(a3, w, within(n4, span, gradient[r3 + n4]));
      }
      @if(!ragged) {
        a0 = mac(a0, w, gradient[r0 + n4]);
        a1 = mac(a1, w, gradient[r1 + n4]);
        a2 = mac(a2, w, gradient[r2 + n4]);
        a3 = mac(a3, w, gradient[r3 + n4]);
      }
    }
  }
  @if(heads) {
    @if(mixed) let head = min((4u * k4 + vec4u(0u, 1u, 2u, 3u)) / HEAD_DIM, vec4u(HEADS - 1u)) * args.grad_stride;
    @if(!mixed) let head = 4u * k4 / HEAD_DIM * args.grad_stride;
    for (var strip = 0u; strip < STRIPS; strip++) {
      let w = block(strip, k4);
      let at = head + args.first_strip + strip;
      @if(mixed) {
        a0 = mac_mixed(a0, w, at + r0);
        a1 = mac_mixed(a1, w, at + r1);
        a2 = mac_mixed(a2, w, at + r2);
        a3 = mac_mixed(a3, w, at + r3);
      }
      @if(!mixed) {
        a0 = mac(a0, w, gradient[at + r0]);
        a1 = mac(a1, w, gradient[at + r1]);
        a2 = mac(a2, w, gradient[at + r2]);
        a3 = mac(a3, w, gradient[at + r3]);
      }
    }
  }
  for (var i = 0u; i < 4u; i++) {
    var a = a0;
    switch i {
      case 1u { a = a1; }
      case 2u { a = a2; }
      case 3u { a = a3; }
      default {}
    }
    finish(id.z, row + i, k4, a);
  }
}
