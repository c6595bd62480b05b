// What the norm kernels share: bindings, the row of the stream as it is read, and the value as it is written.
//
// Layer norm (condition layer): (x - mean) / sqrt(mean((x - mean)^2) + eps) * gain + bias.
// RMS norm: x / sqrt(mean(x^2) + eps) * gain.
// The variance is taken from differences to the mean in a second pass: GPT-2's first position carries values in
// the thousands, and E[x^2] - E[x]^2 would cancel there.
//
// Bindings: 1 input rows [M][D4]; 2 params, gains and biases padded with zeros; 4 output rows [rows][D4];
// 8 capture. The zeros past the width D of gain and bias make the pad lanes of the output zero.
// Condition outs: output row i is the norm of input row step.outs[i].row, the rows that go through the head.
import package::lib::step::step;
import package::lib::tap::tap;
import package::norm::overflow::scale_within;
import constants::{D, D4};

struct Args {
  gain: u32, // in vec4s of params
  @if(layer) bias: u32,
  eps: f32,
  @if(flagged) rank: u32, // norm/overflow.wgsl
  @if(tap_resid_post) tap_resid_post: u32,
  @if(tap_resid_pre) tap_resid_pre: u32,
  @if(tap_out) tap_out: u32,
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> input: array<vec4f>;
@group(1) @binding(2) var<storage, read> params: array<vec4f>;
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>;

// 1 for the lanes of the last vec4 that lie within the width, 0 for its padding.
const LAST_LANES = select(vec4f(0.0), vec4f(1.0), vec4u(0u, 1u, 2u, 3u) < vec4u(D - 4u * (D4 - 1u)));

// How many rows this dispatch writes.
fn row_total() -> u32 {
  @if(outs) return step.out_count;
  @else return step.row_count;
}

// First vec4 of the input row that output row `row` is made from.
fn input_start(row: u32) -> u32 {
  @if(outs) return step.outs[row].row * D4;
  @else return row * D4;
}

// Vec4 `n4` of the stream that is normalised. Each pass over the row reads through here.
fn stream(start: u32, n4: u32) -> vec4f {
  return input[start + n4];
}

// `v` less the mean, with zeros in the padding, which must not count as values that far from it.
fn centred(v: vec4f, mean: f32, n4: u32) -> vec4f {
  return (v - mean) * select(vec4f(1.0), LAST_LANES, n4 == D4 - 1u);
}

// Writes vec4 `n4` of a row: `v` as it was read, `mean` (0 for RMS norm), `scale` 1 / the standard deviation or
// root mean square. Each vec4 of a row passes here once.
fn write_normed(row: u32, n4: u32, v: vec4f, mean: f32, scale: f32) {
  // sites: resid_post of the block before, then resid_pre of this one
  @if(tap_resid_post) tap(args.tap_resid_post, row, D4, n4, v);
  @if(tap_resid_pre) tap(args.tap_resid_pre, row, D4, n4, v);
  @if(layer) let normed = fma((v - mean) * scale, params[args.gain + n4], params[args.bias + n4]);
  @else let normed = v * scale * params[args.gain + n4];
  // site: attn_norm, mlp_norm or final_norm
  @if(tap_out) tap(args.tap_out, row, D4, n4, normed);
  output[row * D4 + n4] = normed;
}

// 1 / sqrt(mean + eps) from the row's sum of squares; NaN where that left float32.
fn scale_of(squares: f32) -> f32 {
  return scale_within(squares, inverseSqrt(squares / f32(D) + args.eps));
}

fn lane_sum(v: vec4f) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}
