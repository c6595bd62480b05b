// Norms of the rows that the destinations of a layer read, and their gradient. One kernel for both directions, so that the
// gradient is that of the very statistics that the forward direction used.
//
// y = (x - mean)·r·gain + bias with r = 1 / sqrt(mean((x - mean)²) + eps); RMS norm has no mean and no bias. With
// n = (x - mean)·r and g = dy·gain,
//   dx = r·(g - mean(g) - n·mean(g·n)),   RMS: dx = r·(g - n·mean(g·n)).
// A row that a mask has cut to nothing has r = 1 / sqrt(eps): large, and finite. One whose squares leave float32 becomes NaN,
// as in norm/overflow.wgsl.
//
// Bindings: 1 x [variants][rows][D4]; 2 params; 3 dy (condition gradient) [variants][rows][D4]; 4 y or dx, the same.
// Pad lanes come out as 0.
// Parallel: a thread per row (x) and variant (y), workgroups of four, the SIMD lanes of a software device.
// Summation class vec4_serial: four chains, lane l over columns l, l + 4, … ascending; then (0 + 1) + (2 + 3).
import package::lib::step::step;
import package::norm::overflow::scale_within;
import constants::{D, D4};

struct Args {
  gain: u32,   // in vec4s of params
  bias: u32,
  stride: u32, // vec4s between variants
  eps: f32,
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> input: array<vec4f>;
@group(1) @binding(2) var<storage, read> params: array<vec4f>;
@if(gradient) @group(1) @binding(3) var<storage, read> gradient: array<vec4f>;
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>;

const LAST_LANES = select(vec4f(0.0), vec4f(1.0), vec4u(0u, 1u, 2u, 3u) < vec4u(D - 4u * (D4 - 1u)));

fn lane_sum(v: vec4f) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}

// `v` less the mean, 0 in the padding.
fn centred(v: vec4f, mean: f32, i: u32) -> vec4f {
  return (v - mean) * select(vec4f(1.0), LAST_LANES, i == D4 - 1u);
}

@compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= step.row_count) {
    return;
  }
  let at = id.y * args.stride + id.x * D4;

  // mean
  var mean = 0.0;
  @if(layer) {
    var sum = vec4f();
    for (var i = 0u; i < D4; i++) {
      sum += input[at + i];
    }
    mean = lane_sum(sum) / f32(D);
  }

  // variance, or mean square
  var squares = vec4f();
  for (var i = 0u; i < D4; i++) {
    let v = centred(input[at + i], mean, i);
    squares = fma(v, v, squares);
  }
  let sum_of_squares = lane_sum(squares);
  let scale = scale_within(sum_of_squares, inverseSqrt(sum_of_squares / f32(D) + args.eps));

  // normalise
  @if(!gradient) for (var i = 0u; i < D4; i++) {
    let n = centred(input[at + i], mean, i) * scale;
    @if(layer) output[at + i] = fma(n, params[args.gain + i], params[args.bias + i]);
    @else output[at + i] = n * params[args.gain + i];
  }
  @if(gradient) {
    // means of g and of g·n
    var sum = vec4f();
    var along = vec4f();
    for (var i = 0u; i < D4; i++) {
      let g = gradient[at + i] * params[args.gain + i];
      sum += g;
      along = fma(g, centred(input[at + i], mean, i) * scale, along);
    }
    @if(layer) let shift = lane_sum(sum) / f32(D);
    @else let shift = 0.0;
    let slope = lane_sum(along) / f32(D);
    // dx
    for (var i = 0u; i < D4; i++) {
      let g = centred(gradient[at + i] * params[args.gain + i], shift, i);
      output[at + i] = scale * fma(vec4f(-slope), centred(input[at + i], mean, i) * scale, g);
    }
  }
}
