// Joins the parts that attention/decode.wgsl leaves of each row and head when it is split over PARTS workgroups.
//
// z[row, head] = Σ_p exp(top_p − top)·o_p / Σ_p exp(top_p − top)·total_p with top = max_p top_p.
//
// Parallel: a thread per vec4 of z (x) and row (y); neighbours read neighbouring vec4s of a part. Bindings: 1 `parts_of_rows`,
// and those of attention/bindings.wgsl for z, stages and captures. A part without keys has a sum of 0 and adds nothing.
// Summation: parts ascend.
import package::lib::step::step;
import package::attention::bindings::{args, edited_z, z, HEAD4, ROW4};
import package::attention::softmax::{normalised, MASKED};
import constants::PARTS;
@if(tap_z) import package::lib::tap::tap;

@group(1) @binding(1) var<storage, read> parts_of_rows: array<vec4f>; // [row][head][part][HEAD4 + 1]

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let n4 = id.x;
  let row = id.y;
  if (n4 >= ROW4 || row >= step.row_count) { return; }
  // Heads of a row lie side by side, as in z: vec4 n4 belongs to head n4 / HEAD4.
  let first = (row * (ROW4 / HEAD4) + n4 / HEAD4) * PARTS * (HEAD4 + 1u);

  // largest score
  var top = MASKED;
  for (var part = 0u; part < PARTS; part++) {
    top = max(top, parts_of_rows[first + part * (HEAD4 + 1u) + HEAD4].x);
  }

  // weights and values of all parts
  var total = 0.0;
  var o = vec4f();
  for (var part = 0u; part < PARTS; part++) {
    let at = first + part * (HEAD4 + 1u);
    let fade = exp(parts_of_rows[at + HEAD4].x - top);
    total = fma(parts_of_rows[at + HEAD4].y, fade, total);
    o = fma(parts_of_rows[at + n4 % HEAD4], vec4f(fade), o);
  }

  // site: attn_z
  let v = edited_z(row, n4, normalised(o, total));
  z[row * ROW4 + n4] = v;
  @if(tap_z) tap(args.tap_z, row, ROW4, n4, v);
}
