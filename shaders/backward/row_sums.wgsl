// Sums of rows, for means over a corpus: output[first + b] += Σ_rows input[b].
//
// Bindings: 1 input [blocks][rows][D4]; 4 output [..][D4].
// Parallel: a thread per four columns (x) of a block (y). Summation class: serial, over ascending rows.
import package::lib::step::step;
import constants::D4;

struct Args {
  count: u32,  // blocks
  first: u32,  // row of the output for block 0
  stride: u32, // vec4s between blocks
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> input: array<vec4f>;
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>;

@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= D4 || id.y >= args.count) {
    return;
  }
  var sum = vec4f();
  for (var row = 0u; row < step.row_count; row++) {
    sum += input[id.y * args.stride + row * D4 + id.x];
  }
  output[(args.first + id.y) * D4 + id.x] += sum;
}
