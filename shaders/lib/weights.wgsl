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
// Two views of the one buffer; a kernel uses one of them and the other is left out when it is linked.
import constants::K4;

@if(f32) @group(1) @binding(1) var<storage, read> blocks: array<mat4x4f>;
@if(!f32) struct HalfBlock { k01: vec4u, k23: vec4u }
@if(!f32) @group(1) @binding(1) var<storage, read> blocks: array<HalfBlock>;

@if(f32) @group(1) @binding(1) var<storage, read> columns: array<vec4f>;
@if(!f32) @group(1) @binding(1) var<storage, read> columns: array<vec2u>;

// Inputs 4·k4 … 4·k4 + 3 of one strip: column j is the weights of the four outputs at input 4·k4 + j.
fn block(strip: u32, k4: u32) -> mat4x4f {
  @if(f32) return blocks[strip * K4 + k4];
  @if(!f32) {
    let b = blocks[strip * K4 + k4];
    return mat4x4f(widen(b.k01.xy), widen(b.k01.zw), widen(b.k23.xy), widen(b.k23.zw));
  }
}

// Input k of one strip: the weights of its four outputs.
fn column(strip: u32, k: u32) -> vec4f {
  @if(f32) return columns[strip * (K4 * 4u) + k];
  @if(!f32) return widen(columns[strip * (K4 * 4u) + k]);
}

@if(f16) fn widen(h: vec2u) -> vec4f {
  return vec4f(unpack2x16float(h.x), unpack2x16float(h.y));
}

@if(bf16) fn widen(h: vec2u) -> vec4f {
  return bitcast<vec4f>(vec4u(h.x << 16u, h.x & 0xffff0000u, h.y << 16u, h.y & 0xffff0000u));
}
