/** Where the outputs of a weight matrix come from: one tensor as stored, or several, reordered and padded. */
import { SluiceError } from "../errors.ts";
import type { Checkpoint, StoredDtype } from "./checkpoint.ts";

/** Outputs of one tensor. */
export interface RowSpan {
  readonly tensor: string;
  /** False: stored `[outputs, inputs]`. True: `[inputs, outputs]` (GPT-2's Conv1D). */
  readonly transposed: boolean;
  /** Outputs of the whole tensor. */
  readonly tensorOutputs: number;
  /** First output taken. */
  readonly first: number;
  readonly count: number;
  readonly order?: GroupOrder;
}

/** The order within every group of `order.length` neighbours: j means `j - j % order.length + order[j % order.length]`. */
export type GroupOrder = readonly number[];

export interface MatrixSource {
  /** For messages and buffer labels. */
  readonly label: string;
  /** Inputs, exact. */
  readonly k: number;
  readonly rows: readonly RowSpan[];
  /** Absent: one span after the other. True: four outputs of each in turn, the last ones filled up with zeros. */
  readonly inTurns?: boolean;
}

/** Outputs of the matrix, including padding. */
export function outputCount({ rows, inTurns }: MatrixSource): number {
  return placedCount(rows, inTurns);
}

/** Length of spans placed one after another, or alternating in fours with padding. */
export function placedCount(spans: readonly { readonly count: number }[], inTurns = false): number {
  if (inTurns) return spans.length * 4 * Math.ceil(Math.max(...spans.map(({ count }) => count)) / 4);
  return spans.reduce((sum, { count }) => sum + count, 0);
}

/** The element of the tensor for element `j` of a span. */
export function orderedElement(
  { first, order }: { readonly first: number; readonly order?: GroupOrder },
  j: number,
): number {
  if (!order) return first + j;
  const within = j % order.length;
  return first + j - within + (order[within] as number);
}

/** The type in which a matrix is kept: that of its tensors if they agree, else F32. */
export function matrixDtype(checkpoint: Checkpoint, source: MatrixSource): StoredDtype {
  const dtypes = new Set<StoredDtype>();
  for (const { tensor } of source.rows) dtypes.add(storedDtype(checkpoint, tensor));
  const [first, ...others] = dtypes;
  return first !== undefined && others.length === 0 ? first : "F32";
}

/** @throws SluiceError `bad_weights` for a tensor that is missing or of an unsupported type */
export function storedDtype(checkpoint: Checkpoint, tensor: string): StoredDtype {
  const dtype = checkpoint.tensors.get(tensor)?.dtype;
  if (dtype === "F32" || dtype === "F16" || dtype === "BF16") return dtype;
  throw new SluiceError(
    "bad_weights",
    `Tensor ${tensor} is ${dtype ? `stored as ${dtype}` : "missing"}; F32, F16 and BF16 are supported`,
  );
}

/** A key that is equal for sources of equal matrices. */
export function matrixKey({ k, rows, inTurns = false }: MatrixSource): string {
  return JSON.stringify([k, rows, inTurns]);
}
