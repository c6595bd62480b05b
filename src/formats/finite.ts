/**
 * Weights that are not finite. While weights are packed one pass over their bits looks for them; only if it finds one,
 * the tensors are read again to say which, where and how many.
 */
import { SluiceError } from "../errors.ts";
import type { QuantFormat } from "../model-config.ts";
import { show, showText } from "../show.ts";
import type { Checkpoint, StoredDtype, TensorInfo } from "./checkpoint.ts";
import { f16ToF32, widen } from "./half.ts";
import type { MatrixSource } from "./matrix-source.ts";
import { BLOCK_BYTES, QUANT_BLOCK } from "./quantized-block.ts";
import type { Coding, QuantizedMatrix, QuantizedRows, TensorReader } from "./quantized-matrix.ts";

/** The exponents in a word of 32 bits, all ones if a number is not finite; and their lowest bits. */
const EXPONENTS: Readonly<Record<StoredDtype, readonly [mask: number, lowest: number]>> = {
  F32: [0x7f800000, 0x00800000],
  F16: [0x7c007c00, 0x04000400],
  BF16: [0x7f807f80, 0x00800080],
};

/** Where the carries of both halves of a word go. */
const CARRIES: Readonly<Record<StoredDtype, number>> = { F32: 0x80000000, F16: 0x80008000, BF16: 0x80008000 };

/** Bytes of a tensor that are read at a time to find what is not finite. */
const PIECE_BYTES = 4 << 20;

const HINT = "The file is damaged, or was saved after its training had diverged: download it again, or use another.";

/**
 * Whether packed floats hold NaN or an infinity. An exponent of ones and its lowest bit carry into the sign's place, so a
 * word takes three operations and no branch.
 * @param bytes a multiple of 32, at a multiple of 4
 */
export function holdsNonFinite({ buffer, byteOffset, byteLength }: Uint8Array, dtype: StoredDtype): boolean {
  const words = new Uint32Array(buffer, byteOffset, byteLength >> 2);
  const [mask, lowest] = EXPONENTS[dtype];
  let carried = 0;
  for (let i = 0; i < words.length; i += 8) {
    carried |=
      (((words[i] as number) & mask) + lowest) |
      (((words[i + 1] as number) & mask) + lowest) |
      (((words[i + 2] as number) & mask) + lowest) |
      (((words[i + 3] as number) & mask) + lowest) |
      (((words[i + 4] as number) & mask) + lowest) |
      (((words[i + 5] as number) & mask) + lowest) |
      (((words[i + 6] as number) & mask) + lowest) |
      (((words[i + 7] as number) & mask) + lowest);
  }
  return (carried & CARRIES[dtype]) !== 0;
}

/** Whether every number is finite. */
export function areFinite(values: Float32Array): boolean {
  for (let i = 0; i < values.length; i++) if (!Number.isFinite(values[i])) return false;
  return true;
}

/** The error for a matrix in whose floats {@link holdsNonFinite} found something: names the first tensor that is to blame. */
export async function nonFiniteMatrix(
  checkpoint: Checkpoint,
  { rows }: MatrixSource,
  signal: AbortSignal | undefined,
): Promise<SluiceError> {
  const names = [...new Set(rows.map(({ tensor }) => tensor))];
  for (const name of names) {
    const info = checkpoint.tensors.get(name);
    const error = info && (await nonFiniteTensor(checkpoint, info, signal));
    if (error) return error;
  }
  // The file changed between the two readings.
  return new SluiceError(
    "bad_weights",
    `${names.map((name) => showText(name)).join(", ")} held numbers that are not finite`,
    {
      hint: HINT,
    },
  );
}

/** The error for a tensor of floats, read from its beginning to its end; undefined if all are finite. */
export async function nonFiniteTensor(
  stored: TensorReader,
  info: TensorInfo,
  signal: AbortSignal | undefined,
): Promise<SluiceError | undefined> {
  const { name, dtype, shape, byteLength } = info;
  const found = new Findings();
  for (let begin = 0; begin < byteLength; begin += PIECE_BYTES) {
    const bytes = await stored.read(name, begin, Math.min(begin + PIECE_BYTES, byteLength), signal);
    found.addAll(widen(dtype, bytes), begin / (dtype === "F32" ? 4 : 2));
  }
  if (!found.first) return undefined;
  const { index, value } = found.first;
  return new SluiceError(
    "bad_weights",
    `Tensor ${nameOf(info)} holds ${found}; the first is ${value} at ${show(placeOf(index, shape))} of ${show(shape)}`,
    { hint: HINT },
  );
}

/**
 * A quantised matrix that refuses rows that stand for weights that are not finite, by their scales and offsets.
 * @param info what the matrix is called
 */
export function withFiniteScales(matrix: QuantizedMatrix, info: TensorInfo): QuantizedMatrix {
  return {
    ...matrix,
    async readRows(stored, first, end, signal) {
      const rows = await matrix.readRows(stored, first, end, signal);
      if (areFiniteScales(rows, matrix.coding)) return rows;
      throw await nonFiniteScales(matrix, info, stored, signal);
    },
  };
}

function areFiniteScales({ scales, offsets }: QuantizedRows, coding: Coding): boolean {
  const most = largestCode(coding);
  for (let i = 0; i < scales.length; i++) {
    if (!isFiniteGroup(scales[i] as number, offsets?.[i] ?? 0, most)) return false;
  }
  return true;
}

/** Whether float32 holds every weight that a scale and an offset can give; of numbers that are a little smaller, it says no. */
function isFiniteGroup(scale: number, offset: number, most: number): boolean {
  return Number.isFinite(Math.fround(Math.abs(scale) * most + Math.abs(offset)));
}

function largestCode({ bits, signed }: Coding): number {
  return signed ? 2 ** (bits - 1) : 2 ** bits - 1;
}

async function nonFiniteScales(
  { outputs, inputs, coding, format, readRows }: QuantizedMatrix,
  info: TensorInfo,
  stored: TensorReader,
  signal: AbortSignal | undefined,
): Promise<SluiceError> {
  const groups = inputs / coding.group;
  const most = largestCode(coding);
  const found = new Findings();
  const rowsEach = Math.max(1, Math.floor(PIECE_BYTES / inputs));
  for (let first = 0; first < outputs; first += rowsEach) {
    const { scales, offsets } = await readRows(stored, first, Math.min(first + rowsEach, outputs), signal);
    for (let i = 0; i < scales.length; i++) {
      const [scale, offset] = [scales[i] as number, offsets?.[i] ?? 0];
      if (!isFiniteGroup(scale, offset, most)) found.add(first * groups + i, Number.isFinite(scale) ? offset : scale);
    }
  }
  return groupsError(info, format, found, { groups: outputs * groups, perOutput: groups, size: coding.group });
}

/** The error for a tensor of blocks (quantized-block.ts) with a scale that is not finite. */
export async function nonFiniteBlocks(
  stored: TensorReader,
  info: TensorInfo,
  format: QuantFormat,
  signal: AbortSignal | undefined,
): Promise<SluiceError> {
  const found = new Findings();
  const bytes = BLOCK_BYTES[format];
  const blocks = info.byteLength / bytes;
  const each = Math.floor(PIECE_BYTES / 4 / bytes) * 4;
  for (let first = 0; first < blocks; first += each) {
    const read = await stored.read(info.name, first * bytes, Math.min(first + each, blocks) * bytes, signal);
    for (let at = 0; at < read.length; at += bytes) {
      const scale = f16ToF32((read[at] as number) | ((read[at + 1] as number) << 8));
      if (!Number.isFinite(scale)) found.add(first + at / bytes, scale);
    }
  }
  return groupsError(info, format, found, { groups: blocks, perOutput: info.shape[1] as number, size: QUANT_BLOCK });
}

/** @param perOutput groups of an output @param size inputs of a group */
function groupsError(
  info: TensorInfo,
  format: string,
  found: Findings,
  { groups, perOutput, size }: { readonly groups: number; readonly perOutput: number; readonly size: number },
): SluiceError {
  const { index, value } = found.first ?? { index: 0, value: Number.NaN };
  const input = (index % perOutput) * size;
  const where = `output ${Math.floor(index / perOutput)}, inputs ${input} to ${input + size - 1}`;
  return new SluiceError(
    "bad_weights",
    `Tensor ${nameOf(info)}, stored as ${format}, has ${found.count} of ${groups} groups whose scale or offset gives weights that are not finite; the first is ${value}, of ${where}`,
    { hint: HINT },
  );
}

/** A tensor's name, and the file's own if it is presented under another. */
function nameOf({ name, storedAs }: TensorInfo): string {
  return storedAs === undefined || storedAs === name ? showText(name) : `${showText(storedAs)} (${showText(name)})`;
}

/** The indices of an element. */
function placeOf(index: number, shape: readonly number[]): readonly number[] {
  let rest = index;
  const place = shape.map(() => 0);
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    const size = shape[axis] as number;
    place[axis] = rest % size;
    rest = Math.floor(rest / size);
  }
  return place;
}

/** What was found that is not finite. */
class Findings {
  first: { readonly index: number; readonly value: number } | undefined;
  readonly #counts = new Map<string, number>();

  get count(): number {
    return [...this.#counts.values()].reduce((a, b) => a + b, 0);
  }

  add(index: number, value: number): void {
    this.first ??= { index, value };
    this.#counts.set(String(value), (this.#counts.get(String(value)) ?? 0) + 1);
  }

  addAll(values: Float32Array, begin: number): void {
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      if (!Number.isFinite(value)) this.add(begin + i, value);
    }
  }

  /** `3 numbers that are not finite (2 NaN, 1 -Infinity)` */
  toString(): string {
    const kinds = [...this.#counts].map(([value, count]) => `${count} ${value}`).join(", ");
    return `${this.count} ${this.count === 1 ? "number that is" : "numbers that are"} not finite (${kinds})`;
  }
}
