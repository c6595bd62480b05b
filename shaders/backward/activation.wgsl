// Gradient through the MLP's activation, from the value before it.
//
// plain: dpre = dpost·act'(pre).
// gated: pre holds strips of gate and up in turn, as the matrix that made it: post = act(gate)·up, so
//        dgate = dpost·up·act'(gate) and dup = dpost·act(gate), written in the same turns.
//
// Bindings: 1 pre [rows][F4], gated [rows][2·F4]; 2 dpost [rows][F4]; 4 dpre, as pre.
// Parallel: a thread per vec4 of dpost (x) and row (y). Summation class: none.
import package::lib::activation::{act, slope};
import package::lib::step::step;
import constants::F4;

@group(1) @binding(1) var<storage, read> pre: array<vec4f>;
@group(1) @binding(2) var<storage, read> gradient: array<vec4f>;
@group(1) @binding(4) var<storage, read_write> output: array<vec4f>;

@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x >= F4 || id.y >= step.row_count) {
    return;
  }
  let at = id.y * F4 + id.x;
  let g = gradient[at];
  @if(gated) {
    let gate = pre[2u * at];
    let up = pre[2u * at + 1u];
    output[2u * at] = g * up * slope(gate);
    output[2u * at + 1u] = g * act(gate);
  }
  @if(!gated) output[at] = g * slope(pre[at]);
}
