/**
 * Where every weight goes: which tensors make up each matrix on the GPU, in which order of outputs, in how many
 * parts, and where each gain and bias lies in the one buffer of small parameters. Depends on the model and the
 * device's limits alone, so all plans share it: one layout serves all readers, there is never a second copy.
 */

import { pairAdjacentOrder } from "../architectures/rope.ts";
import { SluiceError } from "../errors.ts";
import { blockStripBytes, commonFormat, isBlockFormat } from "../formats/block-formats.ts";
import type { Checkpoint, StoredDtype } from "../formats/checkpoint.ts";
import {
  type GroupOrder,
  type MatrixSource,
  matrixDtype,
  matrixKey,
  outputCount,
  placedCount,
  type RowSpan,
} from "../formats/matrix-source.ts";
import { isQuantFormat } from "../formats/quantized-block.ts";
import { quantizedStripBytes } from "../formats/quantized-strips.ts";
import { stripBytes } from "../formats/strips.ts";
import { isKeptAsStored, type MatrixRef, type VectorRef, weightsOf } from "../graph/graph.ts";
import type { BlockFormat, ModelConfig, QuantFormat } from "../model-config.ts";
import { type FusedLinear, type FusedOp, type LinearPart, labelOf } from "./fused.ts";

/** Elements of a stored vector. */
export interface VectorPiece {
  readonly tensor: string;
  readonly first: number;
  readonly count: number;
  readonly order?: GroupOrder;
}

/** A vector as it lies in `params`: its pieces one after the other, or in turns as the rows of a matrix. */
export interface VectorSource {
  readonly pieces: readonly VectorPiece[];
  readonly inTurns?: boolean;
}

export interface WeightPart {
  /** Number of the part among all parts of all matrices. */
  readonly index: number;
  readonly firstStrip: number;
  readonly strips: number;
  readonly byteLength: number;
}

/** How a matrix lies on the GPU. */
export type MatrixDtype = StoredDtype | QuantFormat | BlockFormat;

export interface WeightMatrix {
  readonly label: string;
  readonly source: MatrixSource;
  readonly dtype: MatrixDtype;
  readonly n: number;
  readonly k: number;
  readonly parts: readonly WeightPart[];
}

export interface PlacedVector {
  readonly source: VectorSource;
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
  readonly bias: VectorSource | undefined;
}

export class WeightLayout {
  readonly matrices: readonly WeightMatrix[];
  readonly vectors: readonly PlacedVector[];
  readonly paramsBytes: number;
  /** Matrices that the file holds quantised and that are kept as float32, since no smaller format serves. */
  readonly widened: readonly string[];
  readonly #matrixOf = new Map<string, WeightMatrix>();
  readonly #offsetOf = new Map<string, number>();

  /**
   * @param quantization q8 and q4: how linear weights and the token embedding are kept; otherwise as they are stored
   * @throws SluiceError `device_limit` when a single strip of a matrix exceeds what the device can bind
   */
  constructor(
    ops: readonly FusedOp[],
    checkpoint: Checkpoint,
    limits: BufferLimits,
    quantization?: ModelConfig["quantization"],
  ) {
    const quantize = isQuantFormat(quantization) ? quantization : undefined;
    let parts = 0;
    let end4 = 0;
    const vectors: PlacedVector[] = [];
    const widened: string[] = [];
    const addMatrix = (source: MatrixSource, dtype: MatrixDtype): void => {
      const key = matrixKey(source);
      if (this.#matrixOf.has(key)) return;
      const matrix = splitMatrix(source, dtype, limits, parts);
      parts += matrix.parts.length;
      this.#matrixOf.set(key, matrix);
    };
    const addWeights = (source: MatrixSource, asFloats = false): void => {
      const dtype = asFloats ? floatDtype(checkpoint, source) : (quantize ?? heldAs(checkpoint, source));
      const isQuantised = source.rows.some(({ tensor }) => checkpoint.quantized?.has(tensor));
      if (dtype === "F32" && isQuantised && !widened.includes(source.label)) widened.push(source.label);
      addMatrix(source, dtype);
    };
    const addVector = (source: VectorSource | undefined): void => {
      if (!source || this.#offsetOf.has(JSON.stringify(source))) return;
      vectors.push({ source, offset4: end4 });
      this.#offsetOf.set(JSON.stringify(source), end4);
      end4 += Math.ceil(placedCount(source.pieces, source.inTurns) / 4);
    };
    for (const op of ops) {
      if (op.kind === "linear") {
        const { matrix, bias } = linearSources(op);
        addWeights(matrix);
        addVector(bias);
      } else {
        const { matrices, vectors } = weightsOf(op.node);
        for (const each of matrices) addWeights(tableSource(each), isKeptAsStored(op.node, each));
        for (const each of vectors) addVector(vectorSource(each));
      }
    }
    this.matrices = [...this.#matrixOf.values()];
    this.vectors = vectors;
    this.widened = widened;
    this.paramsBytes = Math.max(end4, 1) * 16;
  }

  /** GPU bytes of all matrices and vectors. */
  get byteLength(): number {
    return this.matrices.reduce(
      (sum, { parts }) => sum + parts.reduce((bytes, part) => bytes + part.byteLength, 0),
      this.paramsBytes,
    );
  }

  /** GPU bytes of one part of a matrix. */
  bytesOfPart(index: number): number {
    for (const { parts } of this.matrices) for (const part of parts) if (part.index === index) return part.byteLength;
    throw new Error(`The weight layout has no part ${index}`);
  }

  matrix(source: MatrixSource): WeightMatrix {
    const matrix = this.#matrixOf.get(matrixKey(source));
    if (!matrix) throw new Error(`The weight layout has no matrix ${source.label}`);
    return matrix;
  }

  /** First vec4 of a vector in `params`. */
  vectorOffset(source: VectorSource): number {
    const offset = this.#offsetOf.get(JSON.stringify(source));
    if (offset === undefined) throw new Error(`The weight layout has no vector ${JSON.stringify(source)}`);
    return offset;
  }
}

/** A whole matrix in its own order of outputs: embedding tables, and most projections. */
export function tableSource(weight: MatrixRef): MatrixSource {
  return { label: weight.tensor, k: weight.inputs, rows: [span(weight)] };
}

export function vectorSource({ tensor, first, length }: VectorRef): VectorSource {
  return { pieces: [{ tensor, first, count: length }] };
}

/** Which outputs of which tensors a fused linear operation multiplies by, and the biases in the same order. */
export function linearSources({ parts, epilogue, rotary = 0, role, layer }: FusedLinear): LinearSources {
  const label = labelOf(role, layer);
  if (epilogue.kind === "qkv") {
    const order = rotary > 0 ? pairAdjacentOrder(epilogue.headDim, rotary) : undefined;
    return placed(
      label,
      parts.map((part, i) => (i < 2 ? { part, order } : { part })),
    );
  }
  if (epilogue.kind === "gated") {
    return placed(
      label,
      parts.map((part) => ({ part })),
      true,
    );
  }
  const [{ weight, bias }] = parts;
  return { matrix: tableSource(weight), bias: bias && vectorSource(bias) };
}

/** Parts one after the other, or strips of four outputs in turn: gate, up, gate, up … */
function placed(
  label: string,
  parts: readonly { readonly part: LinearPart; readonly order?: GroupOrder | undefined }[],
  inTurns = false,
): LinearSources {
  const { weight, bias } = (parts[0] as { part: LinearPart }).part;
  const turns = inTurns && { inTurns };
  const pieces = parts.flatMap(({ part, order }): VectorPiece[] => {
    if (!part.bias) return [];
    const { tensor, first, length } = part.bias;
    return [{ tensor, first, count: length, ...(order && { order }) }];
  });
  return {
    matrix: { label, k: weight.inputs, rows: parts.map(({ part, order }) => span(part.weight, order)), ...turns },
    bias: bias && { pieces, ...turns },
  };
}

function span({ tensor, transposed, tensorOutputs, first, outputs }: MatrixRef, order?: GroupOrder): RowSpan {
  return { tensor, transposed, tensorOutputs, first, count: outputs, ...(order && { order }) };
}

/**
 * How a matrix lies on the GPU if nothing else is wanted: as stored. Tensors of several types share the smallest that holds
 * them all.
 */
function heldAs(checkpoint: Checkpoint, source: MatrixSource): MatrixDtype {
  const stored = source.rows.map(({ tensor }) => checkpoint.quantized?.get(tensor)?.coding);
  const codings = stored.filter((coding) => coding !== undefined);
  const format = codings.length > 0 && codings.length === stored.length ? commonFormat(codings) : undefined;
  return format ?? floatDtype(checkpoint, source);
}

/** The float type that holds a matrix. */
function floatDtype(checkpoint: Checkpoint, source: MatrixSource): StoredDtype {
  return source.rows.some(({ tensor }) => checkpoint.quantized?.has(tensor)) ? "F32" : matrixDtype(checkpoint, source);
}

function bytesOfStrip(k: number, dtype: MatrixDtype): number {
  if (isBlockFormat(dtype)) return blockStripBytes(k, dtype);
  return isQuantFormat(dtype) ? quantizedStripBytes(k, dtype) : stripBytes(k, dtype);
}

/** Parts by whole strips, each within what one buffer and one binding can hold; pairs of strips stay together. */
function splitMatrix(source: MatrixSource, dtype: MatrixDtype, limits: BufferLimits, firstIndex: number): WeightMatrix {
  const n = outputCount(source);
  const strips = Math.ceil(n / 4);
  const each = bytesOfStrip(source.k, dtype);
  const limit = Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize);
  const most = Math.floor(limit / each / 2) * 2;
  if (most === 0) {
    throw new SluiceError(
      "device_limit",
      `Two strips of ${source.label} take ${2 * each} bytes; this device binds at most ${limit}`,
      { hint: "This model is too wide for the device: choose a smaller one, or another device." },
    );
  }
  const parts: WeightPart[] = [];
  for (let firstStrip = 0; firstStrip < strips; firstStrip += most) {
    const count = Math.min(most, strips - firstStrip);
    parts.push({ index: firstIndex + parts.length, firstStrip, strips: count, byteLength: count * each });
  }
  return { label: source.label, source, dtype, n, k: source.k, parts };
}
