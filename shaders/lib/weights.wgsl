// Packed weight matrices, read and widened to f32.
//
// A matrix W of N outputs and K inputs lies in "strips": strip s holds outputs 4s..4s+3 and stores, for
// k = 0, 1, …, one vec4 with those four outputs' weights at input k. K and N are padded to multiples of 4 with
// zeros. Four k of a strip form a block, which is a mat4x4 whose column j belongs to input 4·k4 + j. So a thread
// that owns a strip streams 64 contiguous bytes at a time (32 for 16-bit types), and threads that go through one
// strip side by side read side by side.
//
// f32: a vec4 is 16 bytes. f16 and bf16 stay packed, 8 bytes a vec4, low half first: unpack2x16float reads f16 on
// every device, with or without shader-f16, and a bf16 is the upper half of an f32.
//
// q8 and q4: whole numbers, and a float16 scale for each output and 32 inputs; a weight is number times scale, exact in
// f32. A strip, padded to whole blocks of 32 inputs, is its numbers and then its scales, four float16 a block. q8: a word
// an input, its bytes the four outputs' signed numbers, lowest output first; the scales are filled up to 16 bytes, so
// that four inputs are one vec4. q4: a word for two inputs, four bits an output, the even input in the lower half.
// The scales are 1/17 (1/9) of the bytes, and eight neighbouring blocks of four inputs read the same ones.
//
// Two views of the one buffer; a kernel uses one of them and the other is left out when it is linked.
import constants::K4;

@if(f32) @group(1) @binding(1) var<storage, read> blocks: array<mat4x4f>;
@if(f16 || bf16) struct HalfBlock { k01: vec4u, k23: vec4u }
@if(f16 || bf16) @group(1) @binding(1) var<storage, read> blocks: array<HalfBlock>;
@if(q8) @group(1) @binding(1) var<storage, read> blocks: array<vec4u>;
@if(q4) @group(1) @binding(1) var<storage, read> blocks: array<vec2u>;

@if(f32) @group(1) @binding(1) var<storage, read> columns: array<vec4f>;
@if(f16 || bf16) @group(1) @binding(1) var<storage, read> columns: array<vec2u>;
@if(q8 || q4) @group(1) @binding(1) var<storage, read> columns: array<u32>;

@if(q8 || q4) const K32 = (K4 + 7u) / 8u; // blocks of an output
@if(q8) const STRIP_BLOCKS = K32 * 8u + (K32 + 1u) / 2u; // a strip in elements of `blocks`
@if(q8) const STRIP_WORDS = STRIP_BLOCKS * 4u;
@if(q8) const SCALE_WORDS = K32 * 32u; // the words before a strip's scales
@if(q4) const STRIP_BLOCKS = K32 * 9u;
@if(q4) const STRIP_WORDS = STRIP_BLOCKS * 2u;
@if(q4) const SCALE_WORDS = K32 * 16u;

// Inputs 4·k4 … 4·k4 + 3 of one strip: column j is the weights of the four outputs at input 4·k4 + j.
fn block(strip: u32, k4: u32) -> mat4x4f {
  @if(f32) return blocks[strip * K4 + k4];
  @if(f16 || bf16) {
    let b = blocks[strip * K4 + k4];
    return mat4x4f(widen(b.k01.xy), widen(b.k01.zw), widen(b.k23.xy), widen(b.k23.zw));
  }
  @if(q8) {
    let b = blocks[strip * STRIP_BLOCKS + k4];
    let pair = blocks[strip * STRIP_BLOCKS + K32 * 8u + k4 / 16u];
    let d = scales(select(pair.xy, pair.zw, (k4 & 8u) != 0u));
    return mat4x4f(d * bytes(b.x), d * bytes(b.y), d * bytes(b.z), d * bytes(b.w));
  }
  @if(q4) {
    let b = blocks[strip * STRIP_BLOCKS + k4];
    let d = scales(blocks[strip * STRIP_BLOCKS + K32 * 8u + k4 / 8u]);
    return mat4x4f(d * low_nibbles(b.x), d * high_nibbles(b.x), d * low_nibbles(b.y), d * high_nibbles(b.y));
  }
}

// Input k of one strip: the weights of its four outputs.
fn column(strip: u32, k: u32) -> vec4f {
  @if(f32) return columns[strip * (K4 * 4u) + k];
  @if(f16 || bf16) return widen(columns[strip * (K4 * 4u) + k]);
  @if(q8 || q4) {
    let first = strip * STRIP_WORDS;
    let at = first + SCALE_WORDS + k / 32u * 2u;
    let d = scales(vec2u(columns[at], columns[at + 1u]));
    @if(q8) return d * bytes(columns[first + k]);
    @if(q4) return d * low_nibbles(columns[first + k / 2u] >> (k % 2u * 16u));
  }
}

@if(f16) fn widen(h: vec2u) -> vec4f {
  return vec4f(unpack2x16float(h.x), unpack2x16float(h.y));
}

@if(bf16) fn widen(h: vec2u) -> vec4f {
  return bitcast<vec4f>(vec4u(h.x << 16u, h.x & 0xffff0000u, h.y << 16u, h.y & 0xffff0000u));
}

@if(q8 || q4) fn scales(d: vec2u) -> vec4f {
  return vec4f(unpack2x16float(d.x), unpack2x16float(d.y));
}

// The four signed bytes of a word. By shifts, because not every browser has unpack4xI8.
@if(q8) fn bytes(w: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(vec4u(w) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u));
}

// The four signed numbers of four bits in the lower half of a word.
@if(q4) fn low_nibbles(w: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(vec4u(w) << vec4u(28u, 24u, 20u, 16u)) >> vec4u(28u));
}

@if(q4) fn high_nibbles(w: u32) -> vec4f {
  return vec4f(bitcast<vec4i>(vec4u(w) << vec4u(12u, 8u, 4u, 0u)) >> vec4u(28u));
}
