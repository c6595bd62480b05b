// Weighted sums of rows by an edge mask, in both directions:
//   the inputs of destinations,  x_D = κ_D + Σ_s m[D,s]·out_s,  κ_D = Σ_s (1 - m)·repl_s (made on the host);
//   the gradients of sources,    g_s = Σ_D m[D,s]·dx_D.
// The first is the kept form: nothing is subtracted, so what is left of a stream with values in the thousands keeps its
// digits. Sources come in groups, an embedding, an MLP or the heads of a layer, and each adds to what the earlier ones made.
// Several masks may act side by side, each on the next `texts` sequences.
//
// Bindings: 1 input [inputs][rows][D4]; 2 masks [masks][destinations][sources]; 3 κ [masks][destinations][D4]; 4 output
// [outputs][rows][D4].
// Parallel: a thread per four columns (x, row after row, so that narrow rows fill workgroups too), for OUTPUTS = 4 outputs
// (z), so that an input is read once for four.
// Summation class: serial, over ascending inputs.
import package::lib::step::step;
import constants::D4;

const BEGIN_ZERO = 0u;
const BEGIN_CONSTANT = 1u;
const BEGIN_OUTPUT = 2u;

struct Args {
  begin: u32,        // what the sums begin with
  outputs: u32,
  inputs: u32,
  weight: u32,       // place in the mask of (output 0, input 0)
  weight_out: u32,   // from one output to the next
  weight_in: u32,    // from one input to the next
  constant: u32,     // κ of output 0
  stride_out: u32,   // vec4s between outputs
  stride_in: u32,    // vec4s between inputs
  texts: u32,        // sequences that share a mask
  mask_stride: u32,  // from one mask to the next
  kappa_stride: u32, // from one mask's κ to the next
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> input: array<vec4f>;
@group(1) @binding(2) var<storage, read> mask: array<f32>;
@group(1) @binding(3) var<storage, read> kappa: array<vec4f>;
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>;

fn begin(mask_index: u32, out: u32, at: u32, i: u32) -> vec4f {
  if (args.begin == BEGIN_CONSTANT) {
    return kappa[(mask_index * args.kappa_stride + args.constant + out) * D4 + i];
  }
  if (args.begin == BEGIN_OUTPUT) {
    return output[out * args.stride_out + at];
  }
  return vec4f();
}

@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
  let at = id.x;
  let row = at / D4;
  if (row >= step.row_count) {
    return;
  }
  let column = at % D4;
  let mask_index = step.rows[row].sequence / args.texts;
  let last = args.outputs - 1u;
  let o0 = 4u * id.z;
  let o1 = min(o0 + 1u, last);
  let o2 = min(o0 + 2u, last);
  let o3 = min(o0 + 3u, last);

  // what the sums begin with
  var a0 = begin(mask_index, o0, at, column);
  var a1 = begin(mask_index, o1, at, column);
  var a2 = begin(mask_index, o2, at, column);
  var a3 = begin(mask_index, o3, at, column);

  // weighted sums
  for (var i = 0u; i < args.inputs; i++) {
    let x = input[i * args.stride_in + at];
    let w = mask_index * args.mask_stride + args.weight + i * args.weight_in;
    a0 = fma(vec4f(mask[w + o0 * args.weight_out]), x, a0);
    a1 = fma(vec4f(mask[w + o1 * args.weight_out]), x, a1);
    a2 = fma(vec4f(mask[w + o2 * args.weight_out]), x, a2);
    a3 = fma(vec4f(mask[w + o3 * args.weight_out]), x, a3);
  }
  output[o0 * args.stride_out + at] = a0;
  if (o0 + 1u <= last) { output[o1 * args.stride_out + at] = a1; }
  if (o0 + 2u <= last) { output[o2 * args.stride_out + at] = a2; }
  if (o0 + 3u <= last) { output[o3 * args.stride_out + at] = a3; }
}
