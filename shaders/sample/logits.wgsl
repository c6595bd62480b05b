// Reading logits: rows [out_count][V4] of vec4s, whose last vec4 is padded with whatever its writer left there.
//
// Logits are bound as u32 and tested for NaN and infinity by their bits: WGSL lets a compiler assume that floats
// are neither, so no comparison can be trusted to find them.
import constants::VOCAB;

// Token id for a row whose logits are not all finite; no vocabulary holds it.
const NO_TOKEN = 0xffffffffu;
// Above every key of a finite value.
const NOT_FINITE = 0xffffffffu;
const LOWEST = -0x1.fffffep+127f;

// Vec4 `i` of a row with the padding replaced by the lowest float.
fn without_padding(bits: vec4u, i: u32) -> vec4u {
  return select(vec4u(bitcast<u32>(LOWEST)), bits, vec4u(4u * i) + vec4u(0u, 1u, 2u, 3u) < vec4u(VOCAB));
}

fn not_finite(bits: vec4u) -> vec4<bool> {
  return (bits & vec4u(0x7f800000u)) == vec4u(0x7f800000u);
}

// Integers in the order of the finite floats; -0 and 0 are equal.
fn order_key(bits: vec4u) -> vec4u {
  let value = select(bits, vec4u(0u), bits == vec4u(0x80000000u));
  return value ^ (bitcast<vec4u>(bitcast<vec4i>(value) >> vec4u(31u)) | vec4u(0x80000000u));
}
