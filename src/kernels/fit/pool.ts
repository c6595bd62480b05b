/** Captured activations pooled over the rows of each sequence: shaders/fit/pool.wgsl. */
import type { Kernel } from "../kernel.ts";

/** What becomes of the rows of a sequence. */
export type PoolReduction = "max" | "sum";

export interface PoolShape {
  /** Columns of the site; rows are padded to a multiple of 4. */
  readonly width: number;
  /** Entries of the table of segments. */
  readonly sequences: number;
  readonly reduction: PoolReduction;
}

/** Words of an entry of `segments`: the first of a sequence's rows in the step, and how many there are, 0 for none. */
export const SEGMENT_WORDS = 2;

/**
 * Writes the greatest or the sum of each sequence's rows of `capture`, float32, to its row of `pooled`; sequences without
 * rows are left alone, a NaN is passed on. Args, all in vec4s but `table`: `capture_at`, `table` (entry of `segments` for
 * sequence 0), `pooled_at`, `stride` (from one sequence's row of `pooled` to the next).
 */
export function poolKernel({ width, sequences, reduction }: PoolShape): Kernel {
  const width4 = Math.ceil(width / 4);
  return {
    name: `pool_${reduction}_${width}`,
    shader: { entry: "fit/pool", conditions: { max: reduction === "max" }, constants: { WIDTH4: `${width4}u` } },
    summation: reduction === "sum" ? "blocks16" : "none",
    workgroups: () => [Math.ceil(width4 / 32), sequences, 1],
    cost: ({ rows }) => ({ flops: rows * width, bytes: 4 * width * (rows + Math.min(rows, sequences)) }),
  };
}
