// What the kernels of attention's gradient share. With s the scale, L the log-sum-exp of a row's scaled scores and
// δ = ⟨dz, z⟩, for a row i, a head h and a key j that it sees,
//   p = exp(s·q_i·k_j - L_i),   w = s·p·(⟨dz_i, v_j⟩ - δ_i),   dq_i = Σ_j w·k_j,   dk_j = Σ_i w·q_i,   dv_j = Σ_i p·dz_i,
// the last two summed over the query heads that share the key. p and w exist for a tile of rows × keys at a time.
//
// Rows lie packed, and a row's `slot` is its number: row i sees keys slot - position + first visible … slot. Keys and
// values are [keys][SLOT], q, z and dz [rows][ROW], in units of a Lane: four numbers if HEAD_DIM is a multiple of 4
// (`vec4_heads`), else one.
import package::attention::softmax::first_visible;
import package::lib::step::step;
import constants::{HEAD_DIM, HEADS, KV_HEADS};

@if(vec4_heads) alias Lane = vec4f;
@if(vec4_heads) const WIDE = 4u;
@if(!vec4_heads) alias Lane = f32;
@if(!vec4_heads) const WIDE = 1u;

const GROUP = HEADS / KV_HEADS;
const HEAD = HEAD_DIM / WIDE;                            // Lanes per head
const ROW = (HEADS * HEAD_DIM + 3u) / 4u * 4u / WIDE;    // Lanes per row of q, z, dz
const SLOT = (KV_HEADS * HEAD_DIM + 3u) / 4u * 4u / WIDE; // Lanes per key or value
const QUERIES = HEADS * HEAD;                            // Lanes of dq; dk and dv follow
const KEYS = KV_HEADS * HEAD;
const GRAD_ROW = ((HEADS + 2u * KV_HEADS) * HEAD_DIM + 3u) / 4u * 4u / WIDE;

// First and last key that a row sees.
fn visible(row: u32, window: u32) -> vec2u {
  let r = step.rows[row];
  return vec2u(r.slot - r.position + first_visible(r.position, window), r.slot);
}

@if(vec4_heads) fn across(v: Lane) -> f32 {
  return (v.x + v.y) + (v.z + v.w);
}

@else fn across(v: Lane) -> f32 {
  return v;
}
