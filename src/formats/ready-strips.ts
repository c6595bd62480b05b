/**
 * Matrices that a file holds quantised, as the kernels read them: strips of four outputs, as in strips.ts, each its codes
 * and then its scales and offsets, with the file's numbers.
 *
 * Codes of 8 bits: for each input a word with the four outputs' bytes, lowest output first. Of 4 bits: for each pair of
 * inputs a word with their four outputs' numbers, the even input in the lower half. Then, per group of inputs, four scales
 * and four offsets, one for each output. See shaders/lib/weights.wgsl; q8 and q4 are in quantized-strips.ts.
 */
import type { BlockFormat, QuantFormat } from "../model-config.ts";
import { blockLayout, blockStripBytes, isBlockFormat } from "./block-formats.ts";
import type { Checkpoint, StoredDtype } from "./checkpoint.ts";
import { dequantized } from "./dequantized.ts";
import { f32ToBf16, f32ToF16 } from "./half.ts";
import type { MatrixSource } from "./matrix-source.ts";
import { isQuantFormat, QUANT_BLOCK } from "./quantized-block.ts";
import type { Coding, QuantizedMatrix, QuantizedRows } from "./quantized-matrix.ts";
import { quantizedStripBytes } from "./quantized-strips.ts";
import { type PackedChunk, type PackOptions, packStrips, rowRuns, takenBy } from "./strips.ts";

/**
 * Strips of a matrix of which the file holds some tensor quantised, chunk by chunk.
 * @param dtype floats, or a format that holds every tensor: `commonFormat`
 * @throws SluiceError errors of reading
 */
export function packReadyMade(
  checkpoint: Checkpoint,
  source: MatrixSource,
  dtype: StoredDtype | BlockFormat | QuantFormat,
  options: PackOptions,
): AsyncGenerator<PackedChunk> {
  if (isBlockFormat(dtype) || isQuantFormat(dtype)) return packBlocks(checkpoint, source, dtype, options);
  return packStrips(dequantized(checkpoint), source, { ...options, dtype });
}

/** Host memory stays within about three chunks of bytes and the codes that they are made of, a byte each. */
async function* packBlocks(
  checkpoint: Checkpoint,
  source: MatrixSource,
  format: BlockFormat | QuantFormat,
  { firstStrip, strips, maxChunkBytes = 4 << 20, signal }: PackOptions,
): AsyncGenerator<PackedChunk> {
  const bytesEach = isBlockFormat(format) ? blockStripBytes(source.k, format) : quantizedStripBytes(source.k, format);
  const stripsEach = Math.max(1, Math.floor(maxChunkBytes / bytesEach));
  const rowsEach = Math.max(1, Math.floor(maxChunkBytes / source.k));
  const chunk = new Uint8Array(Math.min(stripsEach, strips) * bytesEach);
  for (let done = 0; done < strips; done += stripsEach) {
    const count = Math.min(stripsEach, strips - done);
    const bytes = chunk.subarray(0, count * bytesEach).fill(0);
    const writer = new StripWriter(bytes, source.k, bytesEach, stripLayout(format));
    for (const { span, outputs } of takenBy(source, (firstStrip + done) * 4, count * 4)) {
      const matrix = checkpoint.quantized?.get(span.tensor) as QuantizedMatrix;
      for (const { first, end, placed } of rowRuns(outputs, rowsEach)) {
        const rows = await matrix.readRows(checkpoint, first, end, signal);
        for (const { to, from } of placed) writer.put(to, rows, from - first, matrix.coding);
      }
    }
    yield { offset: done * bytesEach, bytes };
  }
}

/** What a strip holds of each weight. */
interface StripLayout {
  readonly bits: 4 | 8;
  readonly group: 16 | 32 | 64;
  readonly scales: StoredDtype;
  readonly offsets: boolean;
  /** What is added to a code of the file. */
  zero(coding: Coding): number;
}

/** q8 and q4 keep codes signed. */
function stripLayout(format: BlockFormat | QuantFormat): StripLayout {
  if (isBlockFormat(format)) return blockLayout(format);
  return { bits: format === "q8" ? 8 : 4, group: QUANT_BLOCK, scales: "F16", offsets: false, zero: () => 0 };
}

/** Writes outputs into strips of zeros. */
class StripWriter {
  readonly #bytes: Uint8Array;
  readonly #halves: Uint16Array;
  readonly #floats: Float32Array;
  readonly #inputs: number;
  readonly #stripBytes: number;
  readonly #layout: StripLayout;

  constructor(bytes: Uint8Array<ArrayBuffer>, inputs: number, stripBytes: number, layout: StripLayout) {
    this.#bytes = bytes;
    this.#halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
    this.#floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    this.#inputs = inputs;
    this.#stripBytes = stripBytes;
    this.#layout = layout;
  }

  /** @param output counted from the first strip @param row of `rows` */
  put(output: number, rows: QuantizedRows, row: number, coding: Coding): void {
    const strip = (output >> 2) * this.#stripBytes;
    this.#putCodes(strip, output & 3, rows.codes, row * this.#inputs, this.#layout.zero(coding));
    this.#putScales(strip + (this.#inputs * this.#layout.bits) / 2, output & 3, rows, row, coding);
  }

  #putCodes(strip: number, lane: number, codes: Uint8Array, first: number, zero: number): void {
    const inputs = this.#inputs;
    if (this.#layout.bits === 8) {
      const bytes = this.#bytes;
      for (let i = 0, at = strip + lane; i < inputs; i++, at += 4) bytes[at] = (codes[first + i] as number) + zero;
      return;
    }
    const halves = this.#halves;
    const shift = 4 * lane;
    for (let i = 0, at = strip / 2; i < inputs; i++, at++) {
      halves[at] = (halves[at] as number) | ((((codes[first + i] as number) + zero) & 15) << shift);
    }
  }

  #putScales(begin: number, lane: number, { scales, offsets }: QuantizedRows, row: number, coding: Coding): void {
    const { group, offsets: hasOffsets, zero } = this.#layout;
    const count = this.#inputs / group;
    const stored = this.#inputs / coding.group;
    const each = hasOffsets ? 8 : 4;
    const centre = zero(coding);
    for (let i = 0; i < count; i++) {
      const from = row * stored + Math.floor((i * group) / coding.group);
      const scale = scales[from] as number;
      this.#putFloat(begin, i * each + lane, scale);
      // Exact: a power of two times the scale. Only the sum of both is rounded, in the kernel.
      if (hasOffsets) this.#putFloat(begin, i * each + 4 + lane, (offsets?.[from] ?? 0) - centre * scale);
    }
  }

  #putFloat(begin: number, index: number, value: number): void {
    const { scales } = this.#layout;
    if (scales === "F32") this.#floats[begin / 4 + index] = value;
    else this.#halves[begin / 2 + index] = scales === "F16" ? f32ToF16(value) : f32ToBf16(value);
  }
}
