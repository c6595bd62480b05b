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
// f32. A strip, padded to whole blocks of 32 inputs, is its numbers and then its scales, four float16 per block. q8: a word
// per input, its bytes the four outputs' signed numbers, lowest output first; the scales are filled up to 16 bytes, so
// that four inputs are one vec4. q4: a word for two inputs, four bits per output, the even input in the lower half.
// The scales are 1/17 (1/9) of the bytes.
//
// a4 and a8 are what other programs' files hold: unsigned numbers, and a scale and an offset for each output and 32 inputs
// (16 or 64: `by16`, `by64`); a weight is number times scale plus offset. Numbers lie as those of q4 and q8. Then, per group of inputs,
// four scales and four offsets, of the type that the file has: scale_f16, scale_bf16 or scale_f32. `centred`: numbers
// of 6 bits around 32, and no offsets. K is a multiple of 32. The product is exact in f32 for numbers and scales of
// at most 24 bits together, and the sum rounds once.
//
// This module has what both views of the buffer share. lib/weight_blocks.wgsl reads blocks and lib/weight_columns.wgsl
// single inputs. A kernel uses one of them; both call the buffer `weights`.
import constants::K4;

@if(q8 || q4) const K32 = (K4 + 7u) / 8u; // blocks of an output
@if(q8) const STRIP_BLOCKS = K32 * 8u + (K32 + 1u) / 2u; // a strip in blocks
@if(q8) const STRIP_WORDS = STRIP_BLOCKS * 4u;
@if(q8) const SCALE_WORDS = K32 * 32u; // the words before a strip's scales
@if(q4) const STRIP_BLOCKS = K32 * 9u;
@if(q4) const STRIP_WORDS = STRIP_BLOCKS * 2u;
@if(q4) const SCALE_WORDS = K32 * 16u;

@if(a4 || a8) const K32 = (K4 + 7u) / 8u;
@if(by16) const GROUP4 = 4u; // blocks of four inputs that share a scale
@if(by64) const GROUP4 = 16u;
@if((a4 || a8) && !by16 && !by64) const GROUP4 = 8u;
@if(a4 && !scale_f32) const ENTRY = 2u; // the scales and offsets of a group, in blocks
@if(a4 && scale_f32) const ENTRY = 4u;
@if(a8 && !scale_f32) const ENTRY = 1u;
@if(a8 && scale_f32 && !centred) const ENTRY = 2u;
@if(centred) const ENTRY = 1u;
@if(a4 || a8) const STRIP_BLOCKS = K32 * 8u + K32 * 8u / GROUP4 * ENTRY;
@if(a4) const BLOCK_WORDS = 2u;
@if(a8) const BLOCK_WORDS = 4u;
@if(a4 || a8) const STRIP_WORDS = STRIP_BLOCKS * BLOCK_WORDS;
@if(a4 || a8) const SCALE_WORDS = K32 * 8u * BLOCK_WORDS;

@if(f16 || scale_f16) fn widen(h: vec2u) -> vec4f {
  return vec4f(unpack2x16float(h.x), unpack2x16float(h.y));
}

@if(bf16 || scale_bf16) fn widen(h: vec2u) -> vec4f {
  return bitcast<vec4f>(vec4u(h.x << 16u, h.x & 0xffff0000u, h.y << 16u, h.y & 0xffff0000u));
}

// Numbers are read where they are in the upper bits of a word, as multiples of 2^24 or 2^28: a mask takes the place of
// a shift back, and the scales make up for it. With `extracts`, for GPUs, one instruction gets a number out, sign and all.
// Either is exact, so both give the same bits.
@if(extracts) const UNIT = 1.0;
@if(q8 && !extracts) const UNIT = 0x1p-24f;
@if(q4 && !extracts) const UNIT = 0x1p-28f;

@if(q8 || q4) fn scales(d: vec2u) -> vec4f {
  return UNIT * vec4f(unpack2x16float(d.x), unpack2x16float(d.y));
}

// The four signed bytes of a word.
@if(q8) fn bytes(w: u32) -> vec4f {
  @if(extracts) return extracted(w, vec4u(0u, 8u, 16u, 24u), 8u);
  @if(!extracts) const TOP = 0xff000000u;
  @if(!extracts) return vec4f(bitcast<vec4i>(vec4u(w << 24u, (w << 16u) & TOP, (w << 8u) & TOP, w & TOP)));
}

// The four signed numbers of four bits in the lower half of a word.
@if(q4) fn low_nibbles(w: u32) -> vec4f {
  @if(extracts) return extracted(w, vec4u(0u, 4u, 8u, 12u), 4u);
  @if(!extracts) const TOP = 0xf0000000u;
  @if(!extracts) return vec4f(bitcast<vec4i>(vec4u(w << 28u, (w << 24u) & TOP, (w << 20u) & TOP, (w << 16u) & TOP)));
}

@if(q4) fn high_nibbles(w: u32) -> vec4f {
  @if(extracts) return extracted(w, vec4u(16u, 20u, 24u, 28u), 4u);
  @if(!extracts) const TOP = 0xf0000000u;
  @if(!extracts) return vec4f(bitcast<vec4i>(vec4u((w << 12u) & TOP, (w << 8u) & TOP, (w << 4u) & TOP, w & TOP)));
}

// The signed numbers of `count` bits that begin at these bits of a word.
@if((q8 || q4) && extracts) fn extracted(w: u32, at: vec4u, count: u32) -> vec4f {
  let i = bitcast<i32>(w);
  return vec4f(f32(extractBits(i, at.x, count)), f32(extractBits(i, at.y, count)),
    f32(extractBits(i, at.z, count)), f32(extractBits(i, at.w, count)));
}

// The scales and offsets of the four outputs in a group of inputs.
@if(a4 || a8) struct Scales { scale: vec4f, offset: vec4f }

// Numbers are left where they are in a word, as multiples of powers of two that differ by output: a mask alone gets them
// out, and the scales make up for it.
@if((a4 || a8) && extracts) const UNITS = vec4f(1.0);
@if(a4 && !extracts) const UNITS = vec4f(1.0, 0x1p-4f, 0x1p-8f, 0x1p-12f);
@if(a8 && !extracts) const UNITS = vec4f(1.0, 0x1p-8f, 0x1p-16f, 1.0);

@if((a4 || a8) && !scale_f32) fn half_scales(scale: vec2u, offset: vec2u) -> Scales {
  return Scales(UNITS * widen(scale), widen(offset));
}

@if((a4 || a8) && scale_f32 && !centred) fn full_scales(scale: vec4u, offset: vec4u) -> Scales {
  return Scales(UNITS * bitcast<vec4f>(scale), bitcast<vec4f>(offset));
}

@if(centred) fn centred_scales(scale: vec4u) -> Scales {
  return Scales(UNITS * bitcast<vec4f>(scale), -32.0 * bitcast<vec4f>(scale));
}

// number·scale + offset
@if(a4 || a8) fn scaled(number: vec4f, d: Scales) -> vec4f {
  return fma(number, d.scale, d.offset);
}

// The four numbers of four bits in the lower half of a word.
@if(a4) fn low_four(w: u32) -> vec4f {
  @if(extracts) return extracted_unsigned(w, vec4u(0u, 4u, 8u, 12u), 4u);
  @if(!extracts) return vec4f(bitcast<vec4i>(vec4u(w & 0xfu, w & 0xf0u, w & 0xf00u, w & 0xf000u)));
}

@if(a4) fn high_four(w: u32) -> vec4f {
  @if(extracts) return extracted_unsigned(w, vec4u(16u, 20u, 24u, 28u), 4u);
  @if(!extracts) return low_four(w >> 16u);
}

// The four bytes of a word.
@if(a8) fn four(w: u32) -> vec4f {
  @if(extracts) return extracted_unsigned(w, vec4u(0u, 8u, 16u, 24u), 8u);
  @if(!extracts) return vec4f(bitcast<vec4i>(vec4u(w & 0xffu, w & 0xff00u, w & 0xff0000u, w >> 24u)));
}

@if((a4 || a8) && extracts) fn extracted_unsigned(w: u32, at: vec4u, count: u32) -> vec4f {
  return vec4f(f32(extractBits(w, at.x, count)), f32(extractBits(w, at.y, count)),
    f32(extractBits(w, at.z, count)), f32(extractBits(w, at.w, count)));
}
