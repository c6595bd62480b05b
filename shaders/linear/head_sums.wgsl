// Outputs of single heads in the kernel of the output projection, for heads that are sources of an edge mask:
// out_h = z_h · W_O[h] + b_O / H, the bias only if it belongs to the heads (`head_bias`).
//
// The stage table has a Head for each: args.head_count of them from args.heads on.
// Bindings: 10 sources [slots][rows][OUT4], besides those of linear/operands.wgsl. Parallel: as linear/register.wgsl.
import package::linear::operands::{args, output_width4, params};
import package::stages::head::{head_of, Head};
import package::stages::table::{stages, NONE};
import constants::{HEAD_DIM, HEADS};

@group(1) @binding(10) var<storage, read_write> sources: array<vec4f>;

// Blocks of four inputs that belong to a head.
const HEAD4 = HEAD_DIM / 4u;

// The head of walk `i` over the weights; the first walk is over all of them and has slot NONE.
fn head_at(i: u32) -> Head {
  if (i == 0u) {
    return Head(0u, NONE);
  }
  return head_of(stages[args.heads + i - 1u]);
}

fn finish_head(slot: u32, row: u32, strip: u32, sum: vec4f) {
  let n4 = args.first_strip + strip;
  var share = vec4f();
  @if(head_bias) share = params[args.bias + n4] / f32(HEADS);
  sources[slot * args.slot_stride + row * output_width4() + n4] = sum + share;
}
