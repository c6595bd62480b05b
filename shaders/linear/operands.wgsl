// What every linear kernel binds and the epilogues share: y = W·x + b for the rows of a step.
//
// Group 1: 0 args, 1 weights (lib/weights.wgsl), 2 input, 3 params, 4 output, 5 residual, and for qkv 4 q, 5 rope,
// 6 k_cache, 7 v_cache (linear/qkv.wgsl); 8 capture (lib/tap.wgsl); 9 stage table, 10 source table (shaders/stages/).
// What a variant does not use is not bound.
//
// `grouped`: q, k and v of a layer whose heads read different variants of the normed row. The input is
// [variants][rows][K4], `variant_stride` vec4s apart, and args.variants names the variant of each of the H + 2G groups
// of DH outputs.
//
// The shape: K4 vec4s in a row of the input, STRIPS strips in this part of the matrix, OUT4 vec4s in a row of the
// output of the whole matrix. A matrix beyond the binding limit is cut into parts, one dispatch each. These are constants,
// with which compilers for GPUs unroll loops and fold addresses, or args (`any_shape`: register kernels on software
// devices), with which all shapes share a kernel. Both give the same bits.
import package::lib::step::step;
@if(!any_shape) import constants::{K4, OUT4, STRIPS};
import constants::GROUPS4;
@if(grouped) import package::linear::qkv::head_dim;

struct Args {
  @if(any_shape) k4: u32,
  @if(any_shape) strips: u32,
  @if(any_shape) out4: u32,
  @if(any_shape && qkv) head_dim: u32, // linear/qkv.wgsl
  @if(any_shape && qkv) q_width: u32,
  @if(any_shape && qkv) kv_width: u32,
  first_strip: u32,             // where this part begins in the whole matrix; even if gated
  @if(bias) bias: u32,          // the whole matrix's bias in params, in vec4s
  @if(staged) record_stride: u32, // stages: the stages at each site (stages/neuron_scale.wgsl)
  @if(edits_pre) list_pre: vec4u,
  @if(edits_gate) list_gate: vec4u,
  @if(edits_up) list_up: vec4u,
  @if(edits_post) list_post: vec4u,
  @if(edits_out) list_out: vec4u,
  @if(sourced) source: u32,     // where in the source table, in vec4s, or NONE
  @if(heads) heads: u32,        // single heads: linear/head_sums.wgsl
  @if(heads) head_count: u32,
  @if(heads) slot_stride: u32,  // vec4s from one slot of the source table to the next
  @if(grouped) variant_stride: u32,
  @if(tap_pre) tap_pre: u32,    // taps: lib/tap.wgsl
  @if(tap_gate) tap_gate: u32,
  @if(tap_up) tap_up: u32,
  @if(tap_post) tap_post: u32,
  @if(tap_out) tap_out: u32,
  @if(tap_q) tap_q: u32,
  @if(tap_k) tap_k: u32,
  @if(tap_v) tap_v: u32,
  @if(grouped) variants: array<vec4u, GROUPS4>,
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(2) var<storage, read> input: array<vec4f>;   // [rows][K4]
@group(1) @binding(3) var<storage, read> params: array<vec4f>;  // gains and biases of the whole model
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>; // [rows][OUT4]

fn input_width4() -> u32 {
  @if(any_shape) return args.k4;
  @else return K4;
}

fn output_width4() -> u32 {
  @if(any_shape) return args.out4;
  @else return OUT4;
}

fn strip_count() -> u32 {
  @if(any_shape) return args.strips;
  @else return STRIPS;
}

// Rows to compute. With `outs` (the head) the input holds only the rows whose logits are wanted, packed.
fn row_count() -> u32 {
  @if(outs) return step.out_count;
  @else return step.row_count;
}

// acc + the four columns' weights times four inputs, in ascending k: the one order of class `serial`.
fn mac(acc: vec4f, w: mat4x4f, x: vec4f) -> vec4f {
  return fma(w[3], vec4f(x.w), fma(w[2], vec4f(x.z), fma(w[1], vec4f(x.y), fma(w[0], vec4f(x.x), acc))));
}

// Where in the input, in vec4s, the variant begins that output n reads.
@if(grouped) fn variant_start(n: u32) -> u32 {
  let group = n / head_dim();
  return args.variants[group / 4u][group % 4u] * args.variant_stride;
}
