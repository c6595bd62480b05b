// How fast a device reads a buffer it has not cached: each thread sums what it reads, and only the sum is kept.
//
// Bindings: 1 data, 2 sums, one a thread. Parallel: `threads` threads; with `own`, each streams a stretch of its own,
// as a software device likes it; otherwise neighbours read neighbours, as a GPU does. ACCUMULATORS reads are in flight at a
// time. Conditions: wide_scalar, wide_vec4, wide_mat4 say how much one load takes. Summation class: none that matters.
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
  for (var i = 0u; i + ACCUMULATORS <= each; i += ACCUMULATORS) {
    a0 += take(first + i * step);
    @if(four) a1 += take(first + (i + 1u) * step);
    @if(four) a2 += take(first + (i + 2u) * step);
    @if(four) a3 += take(first + (i + 3u) * step);
  }
  let sum = (a0 + a1) + (a2 + a3);
  sums[id.x] = (sum.x + sum.y) + (sum.z + sum.w);
}
