/**
 * Weight matrices as the kernels read them: in strips of four outputs.
 *
 * Element (n, k) is at `((n >> 2) · Kp + k) · 4 + (n & 3)` with Kp = K rounded up to 4: for each k a vec4 of the
 * four outputs' weights. Adjacent threads along k read adjacent vec4s; a thread that owns a strip reads 4×4 blocks.
 * Missing outputs and inputs are zeros. 16-bit types stay packed.
 */
import { SluiceError } from "../errors.ts";
import type { Checkpoint, StoredDtype } from "./checkpoint.ts";
import { holdsNonFinite, nonFiniteMatrix } from "./finite.ts";
import { widenBf16, widenF16 } from "./half.ts";
import { type MatrixSource, matrixDtype, orderedElement, type RowSpan, storedDtype } from "./matrix-source.ts";
import { type Placed, placeColumns, placeRows, type Words } from "./place-words.ts";

/** Bytes of one weight. */
const STORED_BYTES: Readonly<Record<StoredDtype, number>> = { F32: 4, F16: 2, BF16: 2 };

/** Bytes of one strip of a matrix with `k` inputs. */
export function stripBytes(k: number, dtype: StoredDtype): number {
  return Math.ceil(k / 4) * 16 * STORED_BYTES[dtype];
}

export interface PackOptions {
  readonly firstStrip: number;
  readonly strips: number;
  /** Maximum bytes of a chunk, and roughly of a read. Default 4 MiB. */
  readonly maxChunkBytes?: number;
  readonly signal?: AbortSignal | undefined;
  /** The type of the packed elements; default: the matrix's own. */
  readonly dtype?: StoredDtype;
}

export interface PackedChunk {
  /** Bytes from the beginning of the part. */
  readonly offset: number;
  /** The bytes; overwritten by the next chunk. */
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** The part of a chunk that comes from one tensor. */
export interface Taken {
  readonly span: RowSpan;
  readonly outputs: Placed[];
}

/**
 * Packs strips [firstStrip, firstStrip + strips) and yields them in ascending order, chunk by chunk. Host memory stays
 * within about three chunks.
 * @throws SluiceError errors of reading; `bad_weights`, naming the tensor, for weights that are not finite
 */
export async function* packStrips(
  checkpoint: Checkpoint,
  source: MatrixSource,
  options: PackOptions,
): AsyncGenerator<PackedChunk> {
  const { firstStrip, strips, maxChunkBytes = 4 << 20, signal } = options;
  const dtype = options.dtype ?? matrixDtype(checkpoint, source);
  const bytesEach = stripBytes(source.k, dtype);
  const stripsEach = Math.max(1, Math.floor(maxChunkBytes / bytesEach));
  // One block for all chunks: new ones would pile up until the garbage collector runs.
  const block = new Uint8Array(Math.min(stripsEach, strips) * bytesEach);
  for (let done = 0; done < strips; done += stripsEach) {
    const count = Math.min(stripsEach, strips - done);
    const bytes = block.subarray(0, count * bytesEach).fill(0);
    const target: Words = dtype === "F32" ? new Uint32Array(block.buffer) : new Uint16Array(block.buffer);
    for (const taken of takenBy(source, (firstStrip + done) * 4, count * 4)) {
      await place(checkpoint, taken, source.k, dtype, target, maxChunkBytes, signal);
    }
    if (holdsNonFinite(bytes, dtype)) throw await nonFiniteMatrix(checkpoint, source, signal);
    yield { offset: done * bytesEach, bytes };
  }
}

/** The parts of outputs [first, first + count), per tensor, so that alternating spans are still read in long runs. */
export function takenBy({ rows, inTurns = false }: MatrixSource, first: number, count: number): Iterable<Taken> {
  const byTensor = new Map<string, Taken>();
  let begin = 0;
  rows.forEach((span, turn) => {
    const taken = byTensor.get(span.tensor) ?? { span, outputs: [] };
    const add = (j: number, n: number): number => taken.outputs.push({ to: n - first, from: orderedElement(span, j) });
    if (inTurns) {
      const round = rows.length * 4;
      for (let n = Math.floor(first / round) * round + turn * 4; n < first + count; n += round) {
        for (let i = n; i < n + 4; i++) {
          const j = Math.floor(n / round) * 4 + i - n;
          if (i >= first && i < first + count && j < span.count) add(j, i);
        }
      }
    } else {
      const end = Math.min(first + count, begin + span.count);
      for (let n = Math.max(first, begin); n < end; n++) add(n - begin, n);
      begin += span.count;
    }
    if (taken.outputs.length > 0) byTensor.set(span.tensor, taken);
  });
  return byTensor.values();
}

async function place(
  checkpoint: Checkpoint,
  { span, outputs }: Taken,
  k: number,
  dtype: StoredDtype,
  target: Words,
  maxBytes: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { tensor, transposed, tensorOutputs } = span;
  const stored = storedDtype(checkpoint, tensor);
  const size = STORED_BYTES[stored];
  const read = async (begin: number, end: number): Promise<Words> =>
    convert(await checkpoint.read(tensor, begin * size, end * size, signal), stored, dtype);

  if (!transposed) {
    for (const { first, end, placed } of rowRuns(outputs, Math.max(1, Math.floor(maxBytes / (k * size))))) {
      placeRows(placed, await read(first * k, end * k), first, k, target);
    }
    return;
  }

  // Conv1D: whole input rows, as many at a time as fit, of which this chunk takes some columns.
  const rowsEach = Math.max(1, Math.floor(maxBytes / (tensorOutputs * size)));
  for (let first = 0; first < k; first += rowsEach) {
    const rows = Math.min(rowsEach, k - first);
    const words = await read(first * tensorOutputs, (first + rows) * tensorOutputs);
    placeColumns(outputs, words, first, rows, tensorOutputs, k, target);
  }
}

/** Outputs [first, end) of a tensor. */
interface RowRun {
  readonly first: number;
  readonly end: number;
  readonly placed: readonly Placed[];
}

/** Runs of outputs that are adjacent in the tensor, each of at most `most`. */
export function* rowRuns(outputs: readonly Placed[], most: number): Generator<RowRun> {
  const sorted = [...outputs].sort((a, b) => a.from - b.from);
  for (let i = 0; i < sorted.length; ) {
    const first = (sorted[i] as Placed).from;
    let j = i + 1;
    while (
      j < sorted.length &&
      (sorted[j] as Placed).from <= (sorted[j - 1] as Placed).from + 1 &&
      (sorted[j] as Placed).from - first < most
    )
      j++;
    yield { first, end: (sorted[j - 1] as Placed).from + 1, placed: sorted.slice(i, j) };
    i = j;
  }
}

/** Bit patterns of the wanted type. Only widening to F32 changes anything. */
function convert(bytes: Uint8Array, from: StoredDtype, to: StoredDtype): Words {
  const buffer = bytes.buffer as ArrayBuffer;
  const half = () => new Uint16Array(buffer, bytes.byteOffset, bytes.byteLength / 2);
  if (from === "F32") return new Uint32Array(buffer, bytes.byteOffset, bytes.byteLength / 4);
  if (from === to) return half();
  if (to !== "F32") throw new SluiceError("bad_weights", `${from} weights cannot be kept as ${to}`);
  return new Uint32Array((from === "F16" ? widenF16(half()) : widenBf16(half())).buffer);
}

/** A stored tensor's bytes as float32. */
export function widenStored(bytes: Uint8Array, dtype: StoredDtype): Float32Array<ArrayBuffer> {
  return new Float32Array(
    convert(bytes, dtype, "F32").buffer,
    dtype === "F32" ? bytes.byteOffset : 0,
    bytes.byteLength / STORED_BYTES[dtype],
  );
}
