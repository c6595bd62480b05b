// Packed weights one input at a time: the four outputs' weights at an input are a vec4. lib/weights.wgsl has the format.
@if(f16 || bf16) import package::lib::weights::widen;
@if(quantised) import package::lib::weights::{SCALE_WORDS, STRIP_WORDS};
@else import constants::K4;
@if(q8 || q4) import package::lib::weights::scales;
@if(q8) import package::lib::weights::bytes;
@if(q4) import package::lib::weights::low_nibbles;
@if(a4 || a8) import package::lib::weights::{scaled, BLOCK_WORDS, ENTRY, GROUP4, Scales};
@if((a4 || a8) && !scale_f32) import package::lib::weights::half_scales;
@if((a4 || a8) && scale_f32 && !centred) import package::lib::weights::full_scales;
@if(centred) import package::lib::weights::centred_scales;
@if(a4) import package::lib::weights::low_four;
@if(a8) import package::lib::weights::four;

@if(f32) @group(1) @binding(1) var<storage, read> weights: array<vec4f>;
@if(f16 || bf16) @group(1) @binding(1) var<storage, read> weights: array<vec2u>;
@if(quantised) @group(1) @binding(1) var<storage, read> weights: array<u32>;

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
  @if(a4 || a8) {
    let first = strip * STRIP_WORDS;
    let d = scales_of(first + SCALE_WORDS + k / (GROUP4 * 4u) * (ENTRY * BLOCK_WORDS));
    @if(a8) return scaled(four(weights[first + k]), d);
    @if(a4) return scaled(low_four(weights[first + k / 2u] >> (k % 2u * 16u)), d);
  }
}

// The scales and offsets that begin at a word.
@if(a4 || a8) fn scales_of(at: u32) -> Scales {
  @if(!scale_f32) return half_scales(vec2u(weights[at], weights[at + 1u]), vec2u(weights[at + 2u], weights[at + 3u]));
  @if(scale_f32 && !centred) return full_scales(vec4_at(at), vec4_at(at + 4u));
  @if(centred) return centred_scales(vec4_at(at));
}

@if(scale_f32) fn vec4_at(at: u32) -> vec4u {
  return vec4u(weights[at], weights[at + 1u], weights[at + 2u], weights[at + 3u]);
}
