// Packed weights one input at a time: the four outputs' weights at an input are a vec4. lib/weights.wgsl has the format.
@if(f16 || bf16) import package::lib::weights::widen;
@if(q8 || q4) import package::lib::weights::{scales, SCALE_WORDS, STRIP_WORDS};
@else import constants::K4;
@if(q8) import package::lib::weights::bytes;
@if(q4) import package::lib::weights::low_nibbles;

@if(f32) @group(1) @binding(1) var<storage, read> weights: array<vec4f>;
@if(f16 || bf16) @group(1) @binding(1) var<storage, read> weights: array<vec2u>;
@if(q8 || q4) @group(1) @binding(1) var<storage, read> weights: array<u32>;

// Input k of one strip: the weights of its four outputs.
fn column(strip: u32, k: u32) -> vec4f {
  @if(f32) return weights[strip * (K4 * 4u) + k];
  @if(f16 || bf16) return widen(weights[strip * (K4 * 4u) + k]);
  @if(q8 || q4) {
    let first = strip * STRIP_WORDS;
    let at = first + SCALE_WORDS + k / 32u * 2u;
    let d = scales(vec2u(weights[at], weights[at + 1u]));
    @if(q8) return d * bytes(weights[first + k]);
    @if(q4) return d * low_nibbles(weights[first + k / 2u] >> (k % 2u * 16u));
  }
}
