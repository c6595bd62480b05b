/**
 * Operations that several kernels can serve, and which of them is to serve how many rows: a guess that ships with the
 * engine, replaced if the tuner (src/tune) measured on this device. What was measured is data, {@link KernelChoices};
 * to offer the tuner another kernel, add a line to the operation's list of variants.
 */
import type { Kernel, RowRange } from "./kernel.ts";

/** One of the kernels that can serve an operation. */
export interface KernelVariant {
  /** Short, unique in the operation: `register8x2`. */
  readonly name: string;
  /** Numbers of rows for which it is worth a try, and right; the last bucket has no end, and what is chosen may have one. */
  readonly rows: readonly [least: number, most: number];
  readonly kernel: Kernel;
}

/** What is to be computed, whatever stages, captures and biases go with it: all of these use the same variant. */
export interface Operation {
  /** `linear qkv`. */
  readonly name: string;
  /** `768x2304`. */
  readonly shape: string;
  /** Of what dominates the reading: weights, or the cache. */
  readonly dtype: string;
  /** The kernels to use if nothing was measured, ascending in `maxRows`. */
  readonly guess: readonly RowRange[];
  /** Rows for which steps of one sequence, as the tuner runs them, say how the variants rank; default: all. */
  readonly tunedRows?: readonly RowBucket[];
  variants(): readonly KernelVariant[];
}

/** Numbers of rows that share a kernel: up to 1, 2, 4, 6, 8, 12, 16, 32, 64, and more. */
export const rowBuckets = ["1", "2", "4", "6", "8", "12", "16", "32", "64", "more"] as const;
export type RowBucket = (typeof rowBuckets)[number];

/** In place of a variant: the guess was measured, and stays. */
export const GUESS = "guess";

/** Variants by the operation's key and the bucket, or {@link GUESS}. */
export type KernelChoices = Readonly<Record<string, Readonly<Partial<Record<RowBucket, string>>>>>;

/** Largest number of rows of a bucket. */
export function mostRows(bucket: RowBucket): number {
  return bucket === "more" ? Number.POSITIVE_INFINITY : Number(bucket);
}

/** What names an operation in {@link KernelChoices}. */
export function operationKey({ name, shape, dtype }: Pick<Operation, "name" | "shape" | "dtype">): string {
  return `${name} ${shape} ${dtype}`;
}

/** Rows that stand for more than 64 when kernels are measured. */
const MANY_ROWS = 128;

/** How many rows kernels are measured with for a bucket. */
export function measuredRows(bucket: RowBucket): number {
  return Math.min(mostRows(bucket), MANY_ROWS);
}

/** The variants that can be chosen for a bucket: those that serve the rows it is measured with. */
export function variantsFor(operation: Operation, bucket: RowBucket): readonly KernelVariant[] {
  return operation.variants().filter((variant) => serves(variant, bucket));
}

function serves({ rows: [least, most] }: KernelVariant, bucket: RowBucket): boolean {
  const rows = measuredRows(bucket);
  return least <= rows && rows <= most;
}

/**
 * The kernels that serve an operation, ascending in `maxRows`: what was chosen for a bucket, for as many rows as it can
 * serve, else the guess. A choice that names no variant is passed over. The reference plan is the guess alone.
 */
export function kernelsFor(
  operation: Operation,
  { choices = {}, reference }: { readonly choices?: KernelChoices; readonly reference: boolean },
): readonly RowRange[] {
  const own = choices[operationKey(operation)];
  if (!own || reference) return operation.guess;
  const variants = operation.variants();
  const ranges: RowRange[] = [];
  const add = (range: RowRange): void => {
    // Neighbours that agree are one range: the plan then names the kernel once.
    if (ranges.at(-1)?.kernel.name === range.kernel.name) ranges.pop();
    ranges.push(range);
  };
  let below = 0;
  for (const bucket of rowBuckets) {
    const most = mostRows(bucket);
    const chosen = variants.find((variant) => variant.name === own[bucket] && serves(variant, bucket));
    if (chosen) {
      below = Math.min(most, chosen.rows[1]);
      add({ maxRows: below, kernel: chosen.kernel });
    }
    for (const { maxRows, kernel } of operation.guess) {
      if (below >= most) break;
      if (maxRows <= below) continue;
      below = Math.min(maxRows, most);
      add({ maxRows: below, kernel });
    }
  }
  return ranges;
}
