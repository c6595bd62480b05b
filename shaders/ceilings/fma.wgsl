// How many multiply-adds a device does in registers: ACCUMULATORS independent chains of vec4s per thread, nothing read in
// the loop. Bindings: 2 sums, one per thread. Parallel: a thread per bundle of chains. Conditions: accumulators_2 … _16, each
// includes the ones before.
struct Args {
  trips: u32,
  seed: f32, // not known to the compiler
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(2) var<storage, read_write> sums: array<f32>;

@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let x = vec4f(args.seed);
  var a0 = x; var a1 = x; var a2 = x; var a3 = x; var a4 = x; var a5 = x; var a6 = x; var a7 = x;
  var a8 = x; var a9 = x; var a10 = x; var a11 = x; var a12 = x; var a13 = x; var a14 = x; var a15 = x;
  for (var i = 0u; i < args.trips; i++) {
    a0 = fma(a0, x, x);
    @if(accumulators_2) { a1 = fma(a1, x, x); }
    @if(accumulators_4) { a2 = fma(a2, x, x); a3 = fma(a3, x, x); }
    @if(accumulators_8) { a4 = fma(a4, x, x); a5 = fma(a5, x, x); a6 = fma(a6, x, x); a7 = fma(a7, x, x); }
    @if(accumulators_16) {
      a8 = fma(a8, x, x); a9 = fma(a9, x, x); a10 = fma(a10, x, x); a11 = fma(a11, x, x);
      a12 = fma(a12, x, x); a13 = fma(a13, x, x); a14 = fma(a14, x, x); a15 = fma(a15, x, x);
    }
  }
  let s = ((a0 + a1) + (a2 + a3)) + ((a4 + a5) + (a6 + a7)) + ((a8 + a9) + (a10 + a11)) + ((a12 + a13) + (a14 + a15));
  sums[id.x] = (s.x + s.y) + (s.z + s.w);
}
