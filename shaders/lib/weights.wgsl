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

@if(f16) fn widen(h: vec2u) -> vec4f {
  return vec4f(unpack2x16float(h.x), unpack2x16float(h.y));
}

@if(bf16) fn widen(h: vec2u) -> vec4f {
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
