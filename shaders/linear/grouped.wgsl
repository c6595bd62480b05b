// q, k and v of a layer whose heads read different variants of the normed row, for head widths that the other kernels
// cannot serve: each thread looks up the variant of its own outputs.
//
// Parallel: a thread per strip of four outputs (x) and ROWS = 4 rows (y), as linear/register.wgsl without its second
// strip. `mixed`: DH is not a multiple of 4 and a strip may straddle heads, so that its four outputs each read an input of
// their own; otherwise they share one. Bindings: linear/operands.wgsl. Summation class: serial.
import package::lib::weight_blocks::{block, strip_start};
import package::linear::epilogue::finish;
import package::linear::operands::{args, input, row_count, variant_start};
@if(!mixed) import package::linear::operands::mac;
import constants::{DH, HEAD_GROUPS, K4, STRIPS};

@if(mixed) struct Starts { a: u32, b: u32, c: u32, d: u32 }

// Where the inputs of outputs n … n + 3 begin; outputs of padding read like the last one.
@if(mixed) fn starts_of(n: u32) -> Starts {
  let last = HEAD_GROUPS * DH - 1u;
  return Starts(
    variant_start(min(n, last)), variant_start(min(n + 1u, last)),
    variant_start(min(n + 2u, last)), variant_start(min(n + 3u, last)),
  );
}

// acc + the strip's weights at four inputs, each output with inputs of its own; in the order of `mac`.
@if(mixed) fn mac_mixed(acc: vec4f, w: mat4x4f, starts: Starts, at: u32) -> vec4f {
  let x = transpose(mat4x4f(input[starts.a + at], input[starts.b + at], input[starts.c + at], input[starts.d + at]));
  return fma(w[3], x[3], fma(w[2], x[2], fma(w[1], x[1], fma(w[0], x[0], acc))));
}

@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
  let strip = id.x;
  if (strip >= STRIPS) { return; }
  let rows = row_count();
  let r = id.y * 4u;
  let last = rows - 1u;
  let n = 4u * (args.first_strip + strip);
  @if(mixed) let starts = starts_of(n);
  @else let start = variant_start(n);
  let weights_at = strip_start(strip, K4);
  let x0 = min(r, last) * K4;
  let x1 = min(r + 1u, last) * K4;
  let x2 = min(r + 2u, last) * K4;
  let x3 = min(r + 3u, last) * K4;

  // sums
  var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
  for (var k = 0u; k < K4; k++) {
    let w = block(weights_at, k);
    @if(mixed) {
      a0 = mac_mixed(a0, w, starts, x0 + k);
      a1 = mac_mixed(a1, w, starts, x1 + k);
      a2 = mac_mixed(a2, w, starts, x2 + k);
      a3 = mac_mixed(a3, w, starts, x3 + k);
    } @else {
      a0 = mac(a0, w, input[start + x0 + k]);
      a1 = mac(a1, w, input[start + x1 + k]);
      a2 = mac(a2, w, input[start + x2 + k]);
      a3 = mac(a3, w, input[start + x3 + k]);
    }
  }

  // epilogue, row after row
  for (var i = 0u; i < 4u && r + i < rows; i++) {
    var a = a0;
    switch i {
      case 1u { a = a1; }
      case 2u { a = a2; }
      case 3u { a = a3; }
      default {}
    }
    finish(r + i, strip, a);
  }
}
