/** Where the outputs of a weight matrix come from: one tensor as it stands, or several, reordered and padded. */
import { SluiceError } from "../errors.ts";
import type { Checkpoint, StoredDtype } from "./checkpoint.ts";

/** Consecutive outputs of a matrix. */
export type RowSpan =
  | {
      readonly kind: "stored";
      readonly tensor: string;
      /** False: stored `[outputs, inputs]`. True: `[inputs, outputs]` (GPT-2's Conv1D). */
      readonly transposed: boolean;
      /** Outputs of the whole tensor. */
      readonly tensorOutputs: number;
      /** First output taken. */
      readonly first: number;
      readonly count: number;
      /** Output j of the span is output `first + order[j]` of the tensor; absent: `first + j`. */
      readonly order?: readonly number[];
    }
  /** Outputs of padding. */
  | { readonly kind: "zero"; readonly count: number };

export interface MatrixSource {
  /** For messages and buffer labels. */
  readonly label: string;
  /** Inputs, exact. */
  readonly k: number;
  readonly rows: readonly RowSpan[];
}

/** Outputs of the matrix, padding included. */
export function outputCount(source: MatrixSource): number {
  return source.rows.reduce((sum, { count }) => sum + count, 0);
}

/** The type a matrix is kept in: that of its tensors where they agree, else F32. */
export function matrixDtype(checkpoint: Checkpoint, source: MatrixSource): StoredDtype {
  const dtypes = new Set<StoredDtype>();
  for (const span of source.rows) if (span.kind === "stored") dtypes.add(storedDtype(checkpoint, span.tensor));
  const [first, ...others] = dtypes;
  return first !== undefined && others.length === 0 ? first : "F32";
}

/** @throws SluiceError `bad_weights` for a tensor that is missing or of a type that cannot be run */
export function storedDtype(checkpoint: Checkpoint, tensor: string): StoredDtype {
  const dtype = checkpoint.tensors.get(tensor)?.dtype;
  if (dtype === "F32" || dtype === "F16" || dtype === "BF16") return dtype;
  throw new SluiceError(
    "bad_weights",
    `Tensor ${tensor} is ${dtype ? `stored as ${dtype}` : "missing"}; F32, F16 and BF16 can be run`,
  );
}

/** Equal for sources that make equal matrices. */
export function matrixKey({ k, rows }: MatrixSource): string {
  return JSON.stringify([k, rows]);
}
