// Packed weights four inputs at a time: a block of four inputs and four outputs is a mat4x4. lib/weights.wgsl has the format.
@if(f16 || bf16) import package::lib::weights::widen;
@if(q8 || q4) import package::lib::weights::{scales, K32, STRIP_BLOCKS};
@else import constants::K4;
@if(q8) import package::lib::weights::bytes;
@if(q4) import package::lib::weights::{high_nibbles, low_nibbles};

@if(f32) @group(1) @binding(1) var<storage, read> weights: array<mat4x4f>;
@if(f16 || bf16) struct HalfBlock { k01: vec4u, k23: vec4u }
@if(f16 || bf16) @group(1) @binding(1) var<storage, read> weights: array<HalfBlock>;
@if(q8) @group(1) @binding(1) var<storage, read> weights: array<vec4u>;
@if(q4) @group(1) @binding(1) var<storage, read> weights: array<vec2u>;

// Inputs 4·k4 … 4·k4 + 3 of one strip: column j is the weights of the four outputs at input 4·k4 + j.
fn block(strip: u32, k4: u32) -> mat4x4f {
  @if(f32) return weights[strip * K4 + k4];
  @if(f16 || bf16) {
    let b = weights[strip * K4 + k4];
    return mat4x4f(widen(b.k01.xy), widen(b.k01.zw), widen(b.k23.xy), widen(b.k23.zw));
  }
  @if(q8 || q4) return scaled_block(strip, k4, scales_at(strip, k4));
}

// The scales of inputs 4·k4 …: the same for eight k4 in a row, so that a loop over k4 can keep them.
@if(q8 || q4) fn scales_at(strip: u32, k4: u32) -> vec4f {
  @if(q8) {
    let pair = weights[strip * STRIP_BLOCKS + K32 * 8u + k4 / 16u];
    return scales(select(pair.xy, pair.zw, (k4 & 8u) != 0u));
  }
  @if(q4) return scales(weights[strip * STRIP_BLOCKS + K32 * 8u + k4 / 8u]);
}

// As `block`, with scales fetched before.
@if(q8 || q4) fn scaled_block(strip: u32, k4: u32, d: vec4f) -> mat4x4f {
  let n = numbers(strip, k4);
  return mat4x4f(d * n[0], d * n[1], d * n[2], d * n[3]);
}

// As `block`, without the scales.
@if(q8 || q4) fn numbers(strip: u32, k4: u32) -> mat4x4f {
  let b = weights[strip * STRIP_BLOCKS + k4];
  @if(q8) return mat4x4f(bytes(b.x), bytes(b.y), bytes(b.z), bytes(b.w));
  @if(q4) return mat4x4f(low_nibbles(b.x), high_nibbles(b.x), low_nibbles(b.y), high_nibbles(b.y));
}
