/** What a linear layer computes and moves. Costs are those of the whole layer, and of the two halves of a split one. */
import type { Cost } from "../kernel.ts";
import type { LinearShape, WeightDtype } from "./shape.ts";

/** Bytes of one weight, with its part in the scale of a block of 32. */
export const weightBytes: Readonly<Record<WeightDtype, number>> = {
  f32: 4,
  f16: 2,
  bf16: 2,
  q8: 1 + 2 / 32,
  q4: 0.5 + 2 / 32,
};

/**
 * Flops of the product, the bias and the residual; activations and rotations, which have no agreed count, are left
 * out. The sums of single heads read their weights from a cache. Outputs of the last part of a cut matrix count with their
 * padding (at most three).
 */
export function linearCost({ K, N, strips, dtype, epilogue, bias, heads }: LinearShape, rows: number): Cost {
  const outputs = Math.min(N, strips * 4);
  const listed = heads?.listed ?? 0;
  const padded = Math.ceil(K / 4) * 4;
  const stored = rows * (epilogue.kind === "gated" ? outputs / 2 : outputs);
  const extra = (bias ? 1 : 0) + (epilogue.kind === "residual" ? 1 : 0);
  const moved = stored * (epilogue.kind === "residual" ? 2 : 1) + rows * padded + (bias ? outputs : 0);
  return {
    flops: rows * outputs * (2 * (K + listed * (heads?.head_dim ?? 0)) + extra),
    bytes: strips * 4 * padded * weightBytes[dtype] + 4 * (moved + listed * rows * outputs),
  };
}

/** The first half of a layer whose sums are split into so many parts: it writes every part. */
export function splitCost(shape: LinearShape, parts: number, rows: number): Cost {
  const { K, N, strips, dtype } = shape;
  const outputs = Math.min(N, strips * 4);
  const padded = Math.ceil(K / 4) * 4;
  return {
    flops: rows * outputs * 2 * K,
    bytes: strips * 4 * padded * weightBytes[dtype] + rows * padded * 4 + partialBytes(shape, parts, rows),
  };
}

/** The second half: it reads every part, and does what follows the sums. */
export function mergeCost(shape: LinearShape, parts: number, rows: number): Cost {
  const whole = linearCost(shape, rows);
  const first = splitCost(shape, parts, rows);
  const written = partialBytes(shape, parts, rows);
  const outputs = Math.min(shape.N, shape.strips * 4);
  return {
    flops: whole.flops - first.flops + rows * outputs * (parts - 1),
    bytes: whole.bytes - (first.bytes - written) + written,
  };
}

/** Bytes of the partial sums of a split layer. */
export function partialBytes({ strips }: Pick<LinearShape, "strips">, parts: number, rows: number): number {
  return parts * rows * strips * 16;
}
