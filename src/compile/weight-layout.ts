/**
 * Where every weight goes: which tensors make up each matrix on the GPU, in which order of outputs, in how many
 * parts, and where each gain and bias stands in the one buffer of small parameters. Depends on the model and the
 * device's limits alone, so all plans share it: one layout serves all readers, there is never a second copy.
 */
import { SluiceError } from "../errors.ts";
import type { Checkpoint, StoredDtype } from "../formats/checkpoint.ts";
import { type MatrixSource, matrixDtype, matrixKey, outputCount, type RowSpan } from "../formats/matrix-source.ts";
import { stripBytes } from "../formats/strips.ts";
import type { MatrixRef, VectorRef } from "../graph/graph.ts";
import { headsInOrder } from "./captures.ts";
import type { FusedLinear, FusedOp, LinearPart } from "./fused.ts";

/** Elements of a stored vector in the order in which they stand in `params`. */
export interface VectorPiece {
  readonly tensor: string;
  /** Index into the tensor, or -1 for a zero of padding. */
  readonly elements: readonly number[];
}

export interface WeightPart {
  /** Number of the part among all parts of all matrices. */
  readonly index: number;
  readonly firstStrip: number;
  readonly strips: number;
  readonly byteLength: number;
}

export interface WeightMatrix {
  readonly label: string;
  readonly source: MatrixSource;
  readonly dtype: StoredDtype;
  readonly n: number;
  readonly k: number;
  readonly parts: readonly WeightPart[];
}

export interface PlacedVector {
  readonly pieces: readonly VectorPiece[];
  /** First vec4 in `params`. */
  readonly offset4: number;
}

export interface BufferLimits {
  readonly maxBufferSize: number;
  readonly maxStorageBufferBindingSize: number;
}

/** The sources of a fused linear operation. */
export interface LinearSources {
  readonly matrix: MatrixSource;
  readonly bias: readonly VectorPiece[] | undefined;
}

export class WeightLayout {
  readonly matrices: readonly WeightMatrix[];
  readonly vectors: readonly PlacedVector[];
  readonly paramsBytes: number;
  readonly #matrixOf = new Map<string, WeightMatrix>();
  readonly #offsetOf = new Map<string, number>();

  /** @throws SluiceError `device_limit` when a single strip of a matrix exceeds what the device can bind */
  constructor(ops: readonly FusedOp[], checkpoint: Checkpoint, limits: BufferLimits) {
    let parts = 0;
    let end4 = 0;
    const vectors: PlacedVector[] = [];
    const addMatrix = (source: MatrixSource): void => {
      const key = matrixKey(source);
      if (this.#matrixOf.has(key)) return;
      const matrix = splitMatrix(source, matrixDtype(checkpoint, source), limits, parts);
      parts += matrix.parts.length;
      this.#matrixOf.set(key, matrix);
    };
    const addVector = (pieces: readonly VectorPiece[] | undefined): void => {
      if (!pieces || this.#offsetOf.has(JSON.stringify(pieces))) return;
      vectors.push({ pieces, offset4: end4 });
      this.#offsetOf.set(JSON.stringify(pieces), end4);
      end4 += Math.ceil(pieces.reduce((sum, { elements }) => sum + elements.length, 0) / 4);
    };
    for (const op of ops) {
      if (op.kind === "embed") {
        addMatrix(tableSource(op.tokens));
        if (op.positions) addMatrix(tableSource(op.positions));
      } else if (op.kind === "norm") {
        addVector(vectorSource(op.gain));
        if (op.bias) addVector(vectorSource(op.bias));
      } else if (op.kind === "linear") {
        const { matrix, bias } = linearSources(op);
        addMatrix(matrix);
        addVector(bias);
      }
    }
    this.matrices = [...this.#matrixOf.values()];
    this.vectors = vectors;
    this.paramsBytes = Math.max(end4, 1) * 16;
  }

  /** GPU bytes of all matrices and vectors. */
  get byteLength(): number {
    return this.matrices.reduce(
      (sum, { parts }) => sum + parts.reduce((bytes, part) => bytes + part.byteLength, 0),
      this.paramsBytes,
    );
  }

  matrix(source: MatrixSource): WeightMatrix {
    const matrix = this.#matrixOf.get(matrixKey(source));
    if (!matrix) throw new Error(`The weight layout has no matrix ${source.label}`);
    return matrix;
  }

  /** First vec4 of a vector in `params`. */
  vectorOffset(pieces: readonly VectorPiece[]): number {
    const offset = this.#offsetOf.get(JSON.stringify(pieces));
    if (offset === undefined) throw new Error(`The weight layout has no vector ${JSON.stringify(pieces)}`);
    return offset;
  }
}

/** A whole matrix in its own order of outputs: embedding tables, and most projections. */
export function tableSource(weight: MatrixRef): MatrixSource {
  return { label: weight.tensor, k: weight.inputs, rows: [span(weight)] };
}

export function vectorSource(ref: VectorRef): readonly VectorPiece[] {
  return [{ tensor: ref.tensor, elements: range(ref.first, ref.length) }];
}

/** Which outputs of which tensors a fused linear operation multiplies by, and the biases in the same order. */
export function linearSources({ epilogue, label }: FusedLinear): LinearSources {
  if (epilogue.kind === "qkv") {
    const { q, k, v, rope, head_dim } = epilogue;
    const rotated = (part: LinearPart) => (rope ? headsInOrder(part.weight.outputs / head_dim, head_dim) : undefined);
    return joined(label, [
      { part: q, order: rotated(q) },
      { part: k, order: rotated(k) },
      { part: v, order: undefined },
    ]);
  }
  if (epilogue.kind === "gated") return interleaved(label, epilogue.gate, epilogue.up);
  return {
    matrix: tableSource(epilogue.part.weight),
    bias: epilogue.part.bias && vectorSource(epilogue.part.bias),
  };
}

interface OrderedPart {
  readonly part: LinearPart;
  /** Output j is output `order[j]` of the part; absent: as it stands. */
  readonly order: readonly number[] | undefined;
}

/** Parts one after the other. */
function joined(label: string, parts: readonly OrderedPart[]): LinearSources {
  const first = parts[0] as OrderedPart;
  return {
    matrix: { label, k: first.part.weight.inputs, rows: parts.map(({ part, order }) => span(part.weight, order)) },
    bias:
      first.part.bias && parts.flatMap(({ part, order }) => biasPiece(part, order ?? range(0, part.weight.outputs))),
  };
}

/** Strips of four outputs in turn: gate, up, gate, up …; the last strips are filled up with zeros. */
function interleaved(label: string, gate: LinearPart, up: LinearPart): LinearSources {
  const rows: RowSpan[] = [];
  const bias: VectorPiece[] = [];
  for (let first = 0; first < gate.weight.outputs; first += 4) {
    const count = Math.min(4, gate.weight.outputs - first);
    for (const part of [gate, up]) {
      const outputs = range(first, count);
      rows.push(span(part.weight, outputs));
      if (count < 4) rows.push({ kind: "zero", count: 4 - count });
      if (part.bias) bias.push(...biasPiece(part, outputs, 4 - count));
    }
  }
  return { matrix: { label, k: gate.weight.inputs, rows }, bias: gate.bias && bias };
}

function biasPiece({ bias }: LinearPart, outputs: readonly number[], zeros = 0): VectorPiece[] {
  if (!bias) return [];
  const elements = outputs.map((output) => bias.first + output);
  return [{ tensor: bias.tensor, elements: [...elements, ...Array<number>(zeros).fill(-1)] }];
}

function span({ tensor, transposed, tensorOutputs, first, outputs }: MatrixRef, order?: readonly number[]): RowSpan {
  return {
    kind: "stored",
    tensor,
    transposed,
    tensorOutputs,
    first,
    count: order?.length ?? outputs,
    ...(order && { order }),
  };
}

/** Parts by whole strips, each within what one buffer and one binding can hold; pairs of strips stay together. */
function splitMatrix(source: MatrixSource, dtype: StoredDtype, limits: BufferLimits, firstIndex: number): WeightMatrix {
  const n = outputCount(source);
  const strips = Math.ceil(n / 4);
  const each = stripBytes(source.k, dtype);
  const limit = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  const most = Math.floor(limit / each / 2) * 2;
  if (most === 0) {
    throw new SluiceError(
      "device_limit",
      `Two strips of ${source.label} take ${2 * each} bytes; this device binds at most ${limit}`,
    );
  }
  const parts: WeightPart[] = [];
  for (let firstStrip = 0; firstStrip < strips; firstStrip += most) {
    const count = Math.min(most, strips - firstStrip);
    parts.push({ index: firstIndex + parts.length, firstStrip, strips: count, byteLength: count * each });
  }
  return { label: source.label, source, dtype, n, k: source.k, parts };
}

function range(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, i) => first + i);
}
