// Turns the gradients of rotated queries and keys back: the transpose of a rotation is the rotation by the opposite angle.
// In place over rows of dq, dk, dv, the first ROTATED columns of each; pairs are adjacent (linear/qkv.wgsl).
//
// Bindings: 1 table [position][HEAD_DIM / 2] of (cos, sin); 4 rows [rows][ROW2] of pairs.
// Parallel: a thread per pair (x) of a row (y). Summation class: none.
import package::lib::step::step;
import constants::{HEAD_DIM, ROTATED, ROW2};

@group(1) @binding(1) var<storage, read> rope: array<vec2f>;
@group(1) @binding(4) var<storage, read_write> output: array<vec2f>;

@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  let n = 2u * id.x;
  if (n >= ROTATED || id.y >= step.row_count) {
    return;
  }
  let turn = rope[step.rows[id.y].position * (HEAD_DIM / 2u) + n % HEAD_DIM / 2u];
  let g = output[id.y * ROW2 + id.x];
  output[id.y * ROW2 + id.x] = vec2f(fma(g.x, turn.x, g.y * turn.y), fma(g.y, turn.x, -(g.x * turn.y)));
}
