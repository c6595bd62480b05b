// Second half of a linear layer whose sums over K were split (linear/tile.wgsl): adds the PARTS partial sums of each output
// and does what follows them, as every linear kernel does (linear/epilogue.wgsl).
//
// Parallel: a thread per pair of neighbouring strips (x) and row (y); neighbours read neighbouring pairs of a part. Bindings: 1
// `partials` [part][row][STRIPS], and those of linear/operands.wgsl but weights and input. No workgroup memory, no barrier. For
// two vec4s of output a thread reads 2·PARTS of them, which a cache holds where the first half has just written them.
// Summation class: serial_parts<PARTS>: parts ascend, each a chain from 0.
import package::linear::epilogue::finish_pair;
import package::linear::operands::row_count;
import constants::{PARTS, STRIPS};

@group(1) @binding(1) var<storage, read> partials: array<vec4f>;

@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let rows = row_count();
  let strip = 2u * id.x;
  let row = id.y;
  if (strip >= STRIPS || row >= rows) { return; }
  // The last pair may lack its second strip: it then adds up the first again, and it is not written.
  let second = min(strip + 1u, STRIPS - 1u);

  // sums of the parts
  var a = partials[row * STRIPS + strip];
  var b = partials[row * STRIPS + second];
  for (var part = 1u; part < PARTS; part++) {
    a += partials[(part * rows + row) * STRIPS + strip];
    b += partials[(part * rows + row) * STRIPS + second];
  }

  // epilogue
  finish_pair(row, strip, a, b);
}
