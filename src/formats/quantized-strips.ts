/**
 * Quantised matrices as the kernels read them: strips of four outputs, as in strips.ts, each padded to whole blocks of
 * 32 inputs and followed by its scales.
 *
 * q8: for each input a word with the four outputs' signed bytes, lowest output first. q4: for each pair of inputs a word
 * with their four outputs' signed 4-bit numbers, the even input in the lower half. Then per block four float16,
 * the outputs' scales; q8 ends on 16 bytes, so that four inputs are one load of a vec4. See shaders/lib/weights.wgsl.
 */
import type { QuantFormat } from "../model-config.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import { nonFiniteBlocks } from "./finite.ts";
import { f16ToF32 } from "./half.ts";
import type { MatrixSource } from "./matrix-source.ts";
import {
  BLOCK_BYTES,
  blockCount,
  QUANT_BLOCK,
  type QuantizationLoss,
  quantizeBlock,
  readBlock,
  storeBlock,
} from "./quantized-block.ts";
import { type PackedChunk, type PackOptions, packStrips, rowRuns, takenBy } from "./strips.ts";

/** Bytes of one strip of a matrix with `k` inputs. */
export function quantizedStripBytes(k: number, format: QuantFormat): number {
  const blocks = blockCount(k);
  return format === "q8" ? blocks * 128 + Math.ceil(blocks / 2) * 16 : blocks * 72;
}

export interface QuantizeOptions extends PackOptions {
  /** Counts the differences, unless the blocks are taken as they are stored. */
  readonly error?: QuantizationLoss | undefined;
}

/**
 * Strips [firstStrip, firstStrip + strips) in ascending order, chunk by chunk, from stored blocks put in place or from
 * quantised floats. Both ways give equal blocks. Host memory stays within about four chunks.
 * @throws SluiceError errors of reading; `bad_weights` for weights without a scale
 */
export async function* packQuantizedStrips(
  checkpoint: Checkpoint,
  source: MatrixSource,
  format: QuantFormat,
  options: QuantizeOptions,
): AsyncGenerator<PackedChunk> {
  if (source.rows.every(({ tensor }) => isStoredInBlocks(checkpoint, tensor))) {
    yield* packBlocks(checkpoint, source, format, options);
    return;
  }
  const bytesEach = quantizedStripBytes(source.k, format);
  const stripFloats = Math.ceil(source.k / 4) * 16;
  let block = new Uint8Array(0);
  for await (const { offset, bytes } of packStrips(checkpoint, source, { ...options, dtype: "F32" })) {
    const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const strips = floats.length / stripFloats;
    if (block.length < strips * bytesEach) block = new Uint8Array(strips * bytesEach);
    const target = new StripWriter(block.subarray(0, strips * bytesEach).fill(0), source.k, format);
    quantizeStrips(floats, source, format, options.error, (output, index, scale, codes) =>
      target.put(output, index, scale, codes),
    );
    yield { offset: (offset / 4 / stripFloats) * bytesEach, bytes: target.bytes };
  }
}

/**
 * A matrix in stored form: for each output its blocks one after another, chunk by chunk.
 * @throws SluiceError as {@link packQuantizedStrips}
 */
export async function* storedRows(
  checkpoint: Checkpoint,
  source: MatrixSource,
  outputs: number,
  format: QuantFormat,
  options: Pick<QuantizeOptions, "error" | "signal">,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const stripFloats = Math.ceil(source.k / 4) * 16;
  const rowBytes = blockCount(source.k) * BLOCK_BYTES[format];
  const range = { firstStrip: 0, strips: Math.ceil(outputs / 4) };
  for await (const { offset, bytes } of packStrips(checkpoint, source, { ...options, ...range, dtype: "F32" })) {
    const floats = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
    const first = (offset / 4 / stripFloats) * 4;
    const rows = new Uint8Array((floats.length / stripFloats) * 4 * rowBytes);
    quantizeStrips(floats, source, format, options.error, (output, index, scale, codes) =>
      storeBlock(format, scale, codes, rows, output * rowBytes + index * BLOCK_BYTES[format]),
    );
    yield rows.subarray(0, Math.min(outputs - first, rows.length / rowBytes) * rowBytes);
  }
}

/** Whether a tensor holds blocks: `[outputs, blocks, bytes of a block]`. */
function isStoredInBlocks(checkpoint: Checkpoint, tensor: string): boolean {
  return checkpoint.tensors.get(tensor)?.dtype === "U8";
}

type BlockSink = (output: number, block: number, scale: number, codes: Int8Array) => void;

/** Quantises float strips block by block; outputs count from the first given strip. */
function quantizeStrips(
  strips: Float32Array,
  { k, label }: MatrixSource,
  format: QuantFormat,
  error: QuantizationLoss | undefined,
  sink: BlockSink,
): void {
  const stride = Math.ceil(k / 4) * 16;
  const blocks = blockCount(k);
  const values = new Float64Array(QUANT_BLOCK);
  const codes = new Int8Array(QUANT_BLOCK);
  for (let strip = 0; strip * stride < strips.length; strip++) {
    for (let lane = 0; lane < 4; lane++) {
      for (let block = 0; block < blocks; block++) {
        const length = Math.min(QUANT_BLOCK, k - block * QUANT_BLOCK);
        let at = strip * stride + block * QUANT_BLOCK * 4 + lane;
        for (let i = 0; i < length; i++, at += 4) values[i] = strips[at] as number;
        values.fill(0, length);
        const scale = quantizeBlock(format, values, codes, label);
        error?.addBlock(values, f16ToF32(scale), codes);
        sink(strip * 4 + lane, block, scale, codes);
      }
    }
  }
}

/** Puts stored blocks in the kernels' places. */
async function* packBlocks(
  checkpoint: Checkpoint,
  source: MatrixSource,
  format: QuantFormat,
  { firstStrip, strips, maxChunkBytes = 4 << 20, signal }: PackOptions,
): AsyncGenerator<PackedChunk> {
  const blocks = blockCount(source.k);
  const rowBytes = blocks * BLOCK_BYTES[format];
  const bytesEach = quantizedStripBytes(source.k, format);
  const stripsEach = Math.max(1, Math.floor(maxChunkBytes / bytesEach));
  const chunk = new Uint8Array(Math.min(stripsEach, strips) * bytesEach);
  const codes = new Int8Array(QUANT_BLOCK);
  const infoOf = (tensor: string): TensorInfo => checkpoint.tensors.get(tensor) as TensorInfo;
  for (let done = 0; done < strips; done += stripsEach) {
    const count = Math.min(stripsEach, strips - done);
    const target = new StripWriter(chunk.subarray(0, count * bytesEach).fill(0), source.k, format);
    for (const { span, outputs } of takenBy(source, (firstStrip + done) * 4, count * 4)) {
      for (const { first, end, placed } of rowRuns(outputs, Math.max(1, Math.floor(maxChunkBytes / rowBytes)))) {
        const rows = await checkpoint.read(span.tensor, first * rowBytes, end * rowBytes, signal);
        for (const { to, from } of placed) {
          for (let block = 0; block < blocks; block++) {
            const at = (from - first) * rowBytes + block * BLOCK_BYTES[format];
            const scale = readBlock(format, rows, at, codes);
            if ((scale & 0x7c00) === 0x7c00)
              throw await nonFiniteBlocks(checkpoint, infoOf(span.tensor), format, signal);
            target.put(to, block, scale, codes);
          }
        }
      }
    }
    yield { offset: done * bytesEach, bytes: target.bytes };
  }
}

/** Writes blocks into strips of zeros. */
class StripWriter {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #halves: Uint16Array;
  readonly #format: QuantFormat;
  readonly #stripBytes: number;
  readonly #codeBytes: number;

  constructor(bytes: Uint8Array<ArrayBuffer>, k: number, format: QuantFormat) {
    this.bytes = bytes;
    this.#halves = new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 2);
    this.#format = format;
    this.#stripBytes = quantizedStripBytes(k, format);
    this.#codeBytes = blockCount(k) * (format === "q8" ? 128 : 64);
  }

  /** @param output counted from the first strip @param scale float16 bits */
  put(output: number, block: number, scale: number, codes: Int8Array): void {
    const strip = (output >> 2) * this.#stripBytes;
    const lane = output & 3;
    this.#halves[(strip + this.#codeBytes) / 2 + block * 4 + lane] = scale;
    if (this.#format === "q8") {
      let at = strip + block * 128 + lane;
      for (let i = 0; i < QUANT_BLOCK; i++, at += 4) this.bytes[at] = codes[i] as number;
      return;
    }
    const first = strip / 2 + block * QUANT_BLOCK;
    for (let i = 0; i < QUANT_BLOCK; i++) {
      this.#halves[first + i] = (this.#halves[first + i] as number) | (((codes[i] as number) & 15) << (4 * lane));
    }
  }
}
