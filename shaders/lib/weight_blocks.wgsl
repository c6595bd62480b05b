// Packed weights four inputs at a time: a block of four inputs and four outputs is a mat4x4. lib/weights.wgsl has the format.
@if(f16 || bf16) import package::lib::weights::widen;
@if(quantised) import package::lib::weights::{K32, STRIP_BLOCKS};
@if(q8 || q4) import package::lib::weights::scales;
@if(q8) import package::lib::weights::bytes;
@if(q4) import package::lib::weights::{high_nibbles, low_nibbles};
@if(a4 || a8) import package::lib::weights::{scaled, ENTRY, GROUP4, Scales};
@if((a4 || a8) && !scale_f32) import package::lib::weights::half_scales;
@if((a4 || a8) && scale_f32 && !centred) import package::lib::weights::full_scales;
@if(centred) import package::lib::weights::centred_scales;
@if(a4) import package::lib::weights::{high_four, low_four};
@if(a8) import package::lib::weights::four;

@if(f32) @group(1) @binding(1) var<storage, read> weights: array<mat4x4f>;
@if(f16 || bf16) struct HalfBlock { k01: vec4u, k23: vec4u }
@if(f16 || bf16) @group(1) @binding(1) var<storage, read> weights: array<HalfBlock>;
@if(q8 || a8) @group(1) @binding(1) var<storage, read> weights: array<vec4u>;
@if(q4 || a4) @group(1) @binding(1) var<storage, read> weights: array<vec2u>;

// Where a strip begins, for the functions below; `width4` is K4, the blocks of a strip that is not quantised.
fn strip_start(strip: u32, width4: u32) -> u32 {
  @if(quantised) return strip * STRIP_BLOCKS;
  @else return strip * width4;
}

// Inputs 4·k4 … 4·k4 + 3 of the strip at `start`: column j is the weights of the four outputs at input 4·k4 + j.
fn block(start: u32, k4: u32) -> mat4x4f {
  @if(f32) return weights[start + k4];
  @if(f16 || bf16) {
    let b = weights[start + k4];
    return mat4x4f(widen(b.k01.xy), widen(b.k01.zw), widen(b.k23.xy), widen(b.k23.zw));
  }
  @if(quantised) return scaled_block(start, k4, scales_at(start, k4));
}

// The scales of inputs 4·k4 …: the same for eight k4 in a row (four: `by16`; sixteen: `by64`), so that a loop over k4 can keep them.
@if(q8 || q4) fn scales_at(start: u32, k4: u32) -> vec4f {
  @if(q8) {
    let pair = weights[start + K32 * 8u + k4 / 16u];
    return scales(select(pair.xy, pair.zw, (k4 & 8u) != 0u));
  }
  @if(q4) return scales(weights[start + K32 * 8u + k4 / 8u]);
}

@if(a4 || a8) fn scales_at(start: u32, k4: u32) -> Scales {
  let at = start + K32 * 8u + k4 / GROUP4 * ENTRY;
  @if(a4 && scale_f32) return full_scales(
    vec4u(weights[at], weights[at + 1u]), vec4u(weights[at + 2u], weights[at + 3u]));
  @if(a4 && !scale_f32) return half_scales(weights[at], weights[at + 1u]);
  @if(a8 && scale_f32 && !centred) return full_scales(weights[at], weights[at + 1u]);
  @if(a8 && !scale_f32) return half_scales(weights[at].xy, weights[at].zw);
  @if(centred) return centred_scales(weights[at]);
}

// As `block`, with scales fetched before.
@if(q8 || q4) fn scaled_block(start: u32, k4: u32, d: vec4f) -> mat4x4f {
  let n = numbers(start, k4);
  return mat4x4f(d * n[0], d * n[1], d * n[2], d * n[3]);
}

@if(a4 || a8) fn scaled_block(start: u32, k4: u32, d: Scales) -> mat4x4f {
  let n = numbers(start, k4);
  return mat4x4f(scaled(n[0], d), scaled(n[1], d), scaled(n[2], d), scaled(n[3], d));
}

// As `block`, without scales and offsets.
@if(quantised) fn numbers(start: u32, k4: u32) -> mat4x4f {
  let b = weights[start + k4];
  @if(q8) return mat4x4f(bytes(b.x), bytes(b.y), bytes(b.z), bytes(b.w));
  @if(q4) return mat4x4f(low_nibbles(b.x), high_nibbles(b.x), low_nibbles(b.y), high_nibbles(b.y));
  @if(a8) return mat4x4f(four(b.x), four(b.y), four(b.z), four(b.w));
  @if(a4) return mat4x4f(low_four(b.x), high_four(b.x), low_four(b.y), high_four(b.y));
}
