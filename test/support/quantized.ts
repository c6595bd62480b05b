/** Quantised strips read back, as src/formats/quantized-strips.ts describes them, by plain loops. */
import { bf16ToF32, f16ToF32, f32ToBf16, f32ToF16 } from "../../src/formats/half.ts";
import { quantizeBlock } from "../../src/formats/quantized-block.ts";
import type { QuantFormat } from "../../src/model-config.ts";

/** The weights [outputs][k], widened; `outputs` may leave the last strip's padding out. */
export function dequantizedStrips(
  packed: Uint8Array,
  outputs: number,
  k: number,
  format: QuantFormat,
): Float32Array<ArrayBuffer> {
  const blocks = Math.ceil(k / 32);
  const numbers = blocks * (format === "q8" ? 128 : 64);
  const strip = format === "q8" ? numbers + Math.ceil(blocks / 2) * 16 : numbers + blocks * 8;
  return Float32Array.from({ length: outputs * k }, (_, i) => {
    const [n, input] = [Math.floor(i / k), i % k];
    const lane = n % 4;
    const begin = Math.floor(n / 4) * strip;
    const scaleAt = begin + numbers + Math.floor(input / 32) * 8 + lane * 2;
    const scale = f16ToF32((packed[scaleAt] as number) + 256 * (packed[scaleAt + 1] as number));
    let code: number;
    if (format === "q8") code = packed[begin + input * 4 + lane] as number;
    else code = ((packed[begin + input * 2 + (lane >> 1)] as number) >> (4 * (lane & 1))) & 15;
    const range = format === "q8" ? 256 : 16;
    return (code < range / 2 ? code : code - range) * scale;
  });
}

/** Block formats that hold ready-made weights, by plain facts: bits, inputs of a group, scales, offsets. */
export const blockFormats = {
  a4_f16: { bits: 4, group: 32, scales: "f16", offsets: true },
  a4_bf16: { bits: 4, group: 32, scales: "bf16", offsets: true },
  a4_f32: { bits: 4, group: 32, scales: "f32", offsets: true },
  a8_f16: { bits: 8, group: 32, scales: "f16", offsets: true },
  a8_bf16: { bits: 8, group: 32, scales: "bf16", offsets: true },
  a8_f32: { bits: 8, group: 32, scales: "f32", offsets: true },
  a4_f16_by64: { bits: 4, group: 64, scales: "f16", offsets: true },
  a4_bf16_by64: { bits: 4, group: 64, scales: "bf16", offsets: true },
  a8_f16_by64: { bits: 8, group: 64, scales: "f16", offsets: true },
  a8_bf16_by64: { bits: 8, group: 64, scales: "bf16", offsets: true },
  a8_f32_by16: { bits: 8, group: 16, scales: "f32", offsets: true },
  s6_f32_by16: { bits: 8, group: 16, scales: "f32", offsets: false },
} as const;

export type TestedBlockFormat = keyof typeof blockFormats;

/** A dense matrix [outputs][k] in a block format, as strips, and what it then holds; k is a multiple of 32. */
export function blockMatrix(
  dense: Float32Array,
  outputs: number,
  k: number,
  format: TestedBlockFormat,
): { readonly packed: Uint32Array<ArrayBuffer>; readonly dense: Float32Array<ArrayBuffer> } {
  const { bits, group, scales, offsets } = blockFormats[format];
  const numbers = k * (bits / 8) * 4;
  const size = scales === "f32" ? 4 : 2;
  const each = offsets ? 8 : 4;
  const strip = numbers + (k / group) * each * size;
  const view = new DataView(new ArrayBuffer(Math.ceil(outputs / 4) * strip));
  const put = (at: number, value: number): number => {
    if (scales === "f32") view.setFloat32(at, value, true);
    else view.setUint16(at, scales === "f16" ? f32ToF16(value) : f32ToBf16(value), true);
    if (scales === "f32") return Math.fround(value);
    return scales === "f16" ? f16ToF32(f32ToF16(value)) : bf16ToF32(f32ToBf16(value));
  };
  const held = new Float32Array(outputs * k);
  for (let n = 0; n < outputs; n++) {
    const begin = Math.floor(n / 4) * strip;
    for (let g = 0; g < k / group; g++) {
      const values = dense.subarray(n * k + g * group, n * k + (g + 1) * group);
      const [least, most] = [Math.min(...values), Math.max(...values)];
      const at = begin + numbers + (g * each + (n % 4)) * size;
      const largest = Math.max(-least, most);
      // Few bits, so that products are exact in float32 as they are in files of such scales.
      const wanted = f16ToF32(f32ToF16(offsets ? (most - least) / (2 ** bits - 1) : largest / 31));
      const scale = put(at, wanted === 0 ? 1 : wanted);
      const offset = offsets ? put(at + 4 * size, least) : -32 * scale;
      values.forEach((value, i) => {
        const range = offsets ? 2 ** bits - 1 : 63;
        const code = Math.max(0, Math.min(range, Math.round((value - offset) / scale)));
        const input = g * group + i;
        held[n * k + input] = Math.fround(code * scale + offset);
        if (bits === 8) view.setUint8(begin + input * 4 + (n % 4), code);
        else {
          const byte = begin + input * 2 + ((n % 4) >> 1);
          view.setUint8(byte, view.getUint8(byte) | (code << (4 * (n & 1))));
        }
      });
    }
  }
  return { packed: new Uint32Array(view.buffer), dense: held };
}

/** The weights [outputs][k] of strips in a block format, widened. */
export function blockValues(packed: Uint8Array, outputs: number, k: number, format: TestedBlockFormat): Float32Array {
  const { bits, group, scales, offsets } = blockFormats[format];
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const numbers = k * (bits / 8) * 4;
  const size = scales === "f32" ? 4 : 2;
  const each = offsets ? 8 : 4;
  const strip = numbers + (k / group) * each * size;
  const get = (at: number): number => {
    if (scales === "f32") return view.getFloat32(at, true);
    return scales === "f16" ? f16ToF32(view.getUint16(at, true)) : bf16ToF32(view.getUint16(at, true));
  };
  return Float32Array.from({ length: outputs * k }, (_, i) => {
    const [n, input] = [Math.floor(i / k), i % k];
    const begin = Math.floor(n / 4) * strip;
    const at = begin + numbers + (Math.floor(input / group) * each + (n % 4)) * size;
    const byte = view.getUint8(bits === 8 ? begin + input * 4 + (n % 4) : begin + input * 2 + ((n % 4) >> 1));
    const code = bits === 8 ? byte : (byte >> (4 * (n & 1))) & 15;
    return code * get(at) + (offsets ? get(at + 4 * size) : -32 * get(at));
  });
}

/** A dense matrix [outputs][k] quantised, as strips, and what it then holds. */
export function quantizedMatrix(
  dense: Float32Array,
  outputs: number,
  k: number,
  format: QuantFormat,
): { readonly packed: Uint32Array<ArrayBuffer>; readonly dense: Float32Array<ArrayBuffer> } {
  const blocks = Math.ceil(k / 32);
  const numbers = blocks * (format === "q8" ? 128 : 64);
  const strip = format === "q8" ? numbers + Math.ceil(blocks / 2) * 16 : numbers + blocks * 8;
  const packed = new Uint8Array(Math.ceil(outputs / 4) * strip);
  const codes = new Int8Array(32);
  for (let n = 0; n < outputs; n++) {
    const lane = n % 4;
    const begin = Math.floor(n / 4) * strip;
    for (let block = 0; block < blocks; block++) {
      const values = Float64Array.from({ length: 32 }, (_, i) =>
        block * 32 + i < k ? (dense[n * k + block * 32 + i] as number) : 0,
      );
      const scale = quantizeBlock(format, values, codes, "test");
      const scaleAt = begin + numbers + block * 8 + lane * 2;
      packed[scaleAt] = scale & 255;
      packed[scaleAt + 1] = scale >> 8;
      codes.forEach((code, i) => {
        const input = block * 32 + i;
        if (format === "q8") packed[begin + input * 4 + lane] = code & 255;
        else {
          const at = begin + input * 2 + (lane >> 1);
          packed[at] = (packed[at] as number) | ((code & 15) << (4 * (lane & 1)));
        }
      });
    }
  }
  return { packed: new Uint32Array(packed.buffer), dense: dequantizedStrips(packed, outputs, k, format) };
}
