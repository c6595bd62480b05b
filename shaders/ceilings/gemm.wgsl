// How many multiply-adds a device does when each needs its share of loads: an 8 × 8 outer product in registers from
// data that stays in the cache, as the inner loop of a matrix product is. 64 multiply-adds for four vec4s read.
//
// Bindings: 1 data, CACHED vec4s that every thread goes through; 2 sums, one per thread. Parallel: a thread has its own
// 8 × 8 sums. `blocks`: eight rows times two mat4x4s of weights at once, as linear/register.wgsl does: 256 for ten loads.
import constants::CACHED;

struct Args {
  trips: u32,
}

@group(1) @binding(0) var<uniform> args: Args;
@if(!blocks) @group(1) @binding(1) var<storage, read> data: array<vec4f>;
@if(blocks) struct Block { w0: mat4x4f, w1: mat4x4f, x: array<vec4f, 8> }
@if(blocks) @group(1) @binding(1) var<storage, read> data: array<Block>;
@group(1) @binding(2) var<storage, read_write> sums: array<f32>;

fn mac(acc: vec4f, w: mat4x4f, x: vec4f) -> vec4f {
  return fma(w[3], vec4f(x.w), fma(w[2], vec4f(x.z), fma(w[1], vec4f(x.y), fma(w[0], vec4f(x.x), acc))));
}

@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
  var a0 = vec4f(); var a1 = vec4f(); var a2 = vec4f(); var a3 = vec4f();
  var a4 = vec4f(); var a5 = vec4f(); var a6 = vec4f(); var a7 = vec4f();
  var b0 = vec4f(); var b1 = vec4f(); var b2 = vec4f(); var b3 = vec4f();
  var b4 = vec4f(); var b5 = vec4f(); var b6 = vec4f(); var b7 = vec4f();
  for (var i = 0u; i < args.trips; i++) {
    @if(!blocks) {
      let at = i % (CACHED / 4u) * 4u;
      let x0 = data[at];
      let x1 = data[at + 1u];
      let w0 = data[at + 2u];
      let w1 = data[at + 3u];
      a0 = fma(w0, vec4f(x0.x), a0); b0 = fma(w1, vec4f(x0.x), b0);
      a1 = fma(w0, vec4f(x0.y), a1); b1 = fma(w1, vec4f(x0.y), b1);
      a2 = fma(w0, vec4f(x0.z), a2); b2 = fma(w1, vec4f(x0.z), b2);
      a3 = fma(w0, vec4f(x0.w), a3); b3 = fma(w1, vec4f(x0.w), b3);
      a4 = fma(w0, vec4f(x1.x), a4); b4 = fma(w1, vec4f(x1.x), b4);
      a5 = fma(w0, vec4f(x1.y), a5); b5 = fma(w1, vec4f(x1.y), b5);
      a6 = fma(w0, vec4f(x1.z), a6); b6 = fma(w1, vec4f(x1.z), b6);
      a7 = fma(w0, vec4f(x1.w), a7); b7 = fma(w1, vec4f(x1.w), b7);
    }
    @if(blocks) {
      let at = i % (CACHED / 16u);
      let w0 = data[at].w0;
      let w1 = data[at].w1;
      { let x = data[at].x[0]; a0 = mac(a0, w0, x); b0 = mac(b0, w1, x); }
      { let x = data[at].x[1]; a1 = mac(a1, w0, x); b1 = mac(b1, w1, x); }
      { let x = data[at].x[2]; a2 = mac(a2, w0, x); b2 = mac(b2, w1, x); }
      { let x = data[at].x[3]; a3 = mac(a3, w0, x); b3 = mac(b3, w1, x); }
      { let x = data[at].x[4]; a4 = mac(a4, w0, x); b4 = mac(b4, w1, x); }
      { let x = data[at].x[5]; a5 = mac(a5, w0, x); b5 = mac(b5, w1, x); }
      { let x = data[at].x[6]; a6 = mac(a6, w0, x); b6 = mac(b6, w1, x); }
      { let x = data[at].x[7]; a7 = mac(a7, w0, x); b7 = mac(b7, w1, x); }
    }
  }
  let a = ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7));
  let b = ((b0 + b1) + (b2 + b3)) + ((b4 + b5) + (b6 + b7));
  let s = a + b;
  sums[id.x] = (s.x + s.y) + (s.z + s.w);
}
