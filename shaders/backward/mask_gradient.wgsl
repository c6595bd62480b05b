// First stage of the mask's gradient: of each row, ⟨dx_D, out_s - repl_s⟩ for some destinations D and a group of sources s.
//
// Bindings: 1 dx [destinations][rows][D4]; 2 out [sources][rows][D4]; 3 repl [all sources][D4]; 4 output
// [rows][ceil4(destinations)][ceil4(sources)].
// Parallel: a thread per tile of 4 destinations × 4 sources of a row, row after row: eight vec4s read serve sixteen products.
// Summation class: four chains, lane l over columns l, l + 4, … ascending; then (0 + 1) + (2 + 3).
import package::lib::step::step;
import constants::D4;

struct Args {
  destinations: u32,
  sources: u32,
  first_source: u32, // of the group, in repl
  stride_dst: u32,   // vec4s between destinations
  stride_src: u32,   // vec4s between sources
}

@group(1) @binding(0) var<uniform> args: Args;
@group(1) @binding(1) var<storage, read> gradient: array<vec4f>;
@group(1) @binding(2) var<storage, read> written: array<vec4f>;
@group(1) @binding(3) var<storage, read> replaced: array<vec4f>;
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>;

// Products of one destination with four sources.
fn mac(acc: mat4x4f, g: vec4f, out: mat4x4f) -> mat4x4f {
  return mat4x4f(fma(g, out[0], acc[0]), fma(g, out[1], acc[1]), fma(g, out[2], acc[2]), fma(g, out[3], acc[3]));
}

fn fold(acc: mat4x4f) -> vec4f {
  let t = transpose(acc);
  return (t[0] + t[1]) + (t[2] + t[3]);
}

@compute @workgroup_size(16) fn main(@builtin(global_invocation_id) id: vec3u) {
  let columns = (args.sources + 3u) / 4u;
  let blocks = (args.destinations + 3u) / 4u;
  let row = id.x / (columns * blocks);
  if (row >= step.row_count) {
    return;
  }
  let block = (id.x / columns) % blocks;
  let column = id.x % columns;
  let d = min(4u * block + vec4u(0u, 1u, 2u, 3u), vec4u(args.destinations - 1u)) * args.stride_dst + row * D4;
  let s = min(4u * column + vec4u(0u, 1u, 2u, 3u), vec4u(args.sources - 1u));
  let out_at = s * args.stride_src + row * D4;
  let repl_at = (args.first_source + s) * D4;

  // products
  var a0 = mat4x4f(); var a1 = mat4x4f(); var a2 = mat4x4f(); var a3 = mat4x4f();
  for (var i = 0u; i < D4; i++) {
    let out = mat4x4f(
      written[out_at.x + i] - replaced[repl_at.x + i], written[out_at.y + i] - replaced[repl_at.y + i],
      written[out_at.z + i] - replaced[repl_at.z + i], written[out_at.w + i] - replaced[repl_at.w + i],
    );
    a0 = mac(a0, gradient[d.x + i], out);
    a1 = mac(a1, gradient[d.y + i], out);
    a2 = mac(a2, gradient[d.z + i], out);
    a3 = mac(a3, gradient[d.w + i], out);
  }

  // sums of the four lanes
  let to = (row * blocks * 4u + 4u * block) * columns + column;
  output[to] = fold(a0);
  output[to + columns] = fold(a1);
  output[to + 2u * columns] = fold(a2);
  output[to + 3u * columns] = fold(a3);
}
