// Second stage of the mask's gradient: sums the rows' products and adds them to the gradient.
//
// Bindings: 1 products of backward/mask_gradient.wgsl; 4 gradient [all destinations][all sources], where the rows of other
// chunks have been added already, or 0.
// Parallel: a thread per edge, source (x) and destination (y). Summation class: serial, over ascending rows.
import package::lib::step::step;
import constants::SOURCES;

struct Args {
  destinations: u32,
  sources: u32,
  first_destination: u32,
  first_source: u32,
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> products: array<f32>;
@group(1) @binding(4) var<storage, read_write> output: array<f32>;

@compute @workgroup_size(32) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= args.sources || id.y >= args.destinations) {
    return;
  }
  let width = (args.sources + 3u) / 4u * 4u;
  let each = (args.destinations + 3u) / 4u * 4u * width;
  let place = id.y * width + id.x;
  var sum = 0.0;
  for (var row = 0u; row < step.row_count; row++) {
    sum += products[row * each + place];
  }
  let at = (args.first_destination + id.y) * SOURCES + args.first_source + id.x;
  output[at] += sum;
}
