/** What a linear layer computes and moves. */
import type { Cost } from "./kernel.ts";
import type { LinearShape, WeightDtype } from "./linear-shape.ts";

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
