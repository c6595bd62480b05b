// How fast a device reads a buffer it has not cached: each thread sums what it reads, and only the sum is kept.
//
// Bindings: 1 data, 2 sums, one per thread. Parallel: `threads` threads; with `own`, each streams a stretch of its own,
// as a software device likes it; otherwise neighbours read neighbours, as a GPU does. ACCUMULATORS reads, 1 to 16, are in
// flight at a time, each into a sum of its own. Conditions: wide_scalar, wide_vec4, wide_mat4 say how much one load takes;
// accumulators_2 … _16, each includes the ones before. Summation class: none that matters.
import constants::{ACCUMULATORS};

struct Args {
  elements: u32, // loads of this width in the buffer
  threads: u32,
}

@group(1) @binding(0) var<uniform> args: Args;
@if(wide_scalar) @group(1) @binding(1) var<storage, read> data: array<f32>;
@if(wide_vec4) @group(1) @binding(1) var<storage, read> data: array<vec4f>;
@if(wide_mat4) @group(1) @binding(1) var<storage, read> data: array<mat4x4f>;
@group(1) @binding(2) var<storage, read_write> sums: array<f32>;

fn take(i: u32) -> vec4f {
  @if(wide_scalar) return vec4f(data[i], 0.0, 0.0, 0.0);
  @if(wide_vec4) return data[i];
  @if(wide_mat4) {
    let m = data[i];
    return (m[0] + m[1]) + (m[2] + m[3]);
  }
}

@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= args.threads) {
    return;
  }
  let each = args.elements / args.threads;
  @if(own) let first = id.x * each;
  @else let first = id.x;
  @if(own) let step = 1u;
  @else let step = args.threads;
  var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
  var a4 = vec4f(); var a5 = vec4f(); var a6 = vec4f(); var a7 = vec4f();
  var a8 = vec4f(); var a9 = vec4f(); var a10 = vec4f(); var a11 = vec4f();
  var a12 = vec4f(); var a13 = vec4f(); var a14 = vec4f(); var a15 = vec4f();
  for (var i = 0u; i + ACCUMULATORS <= each; i += ACCUMULATORS) {
    let at = first + i * step;
    a0 += take(at);
    @if(accumulators_2) { a1 += take(at + step); }
    @if(accumulators_4) { a2 += take(at + 2u * step); a3 += take(at + 3u * step); }
    @if(accumulators_8) {
      a4 += take(at + 4u * step); a5 += take(at + 5u * step); a6 += take(at + 6u * step); a7 += take(at + 7u * step);
    }
    @if(accumulators_16) {
      a8 += take(at + 8u * step); a9 += take(at + 9u * step); a10 += take(at + 10u * step); a11 += take(at + 11u * step);
      a12 += take(at + 12u * step); a13 += take(at + 13u * step); a14 += take(at + 14u * step); a15 += take(at + 15u * step);
    }
  }

  // one sum, so that nothing is left out
  let sum = ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7)) + ((a8 + a9) + (a10 + a11)) + ((a12 + a13) + (a14 + a15));
  sums[id.x] = (sum.x + sum.y) + (sum.z + sum.w);
}
