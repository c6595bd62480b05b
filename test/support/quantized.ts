/** Quantised strips read back, as src/formats/quantized-strips.ts describes them, by plain loops. */
import { f16ToF32 } from "../../src/formats/half.ts";
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
