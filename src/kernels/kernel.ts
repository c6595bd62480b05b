/**
 * A kernel: one compute shader, specialised for its shapes, with everything that the planner, the
 * profiler and the tuner want to know of it. Kernel modules are pure: they describe, they touch no device.
 */
import type { ShaderSource } from "./link.ts";

/** What a dispatch gives its kernel's `args`, by field name. */
export type ArgValues = Readonly<Record<string, number | readonly number[]>>;

/**
 * The order in which a kernel adds up, as a name: kernels with equal names agree bit for bit on one
 * device, whatever their tiling. `serial`: one fma chain in ascending K from 0, then the bias.
 * `lanes64_spans`, `lanes64_quads`: 64 strided chains, which meet in spans of eight or in quads. `serial_parts4`: as
 * `serial` in each quarter of K, then the quarters in turn. `none`: nothing is summed.
 */
export type SummationClass = string;

/** What a dispatch works on: rows of the step, and for attention the keys that its rows can see. */
export interface Workload {
  readonly rows: number;
  /** Sum over the rows of the keys each attends to; 0 for kernels that read no cache. */
  readonly keys: number;
}

export interface Cost {
  readonly flops: number;
  /** Bytes that must move at least once: weights, inputs, outputs, cache. */
  readonly bytes: number;
}

export interface Kernel {
  /**
   * Unique for its source and shape: the label of its pipeline and its name in profiles, e.g.
   * `linear_register_f16_768x2304_qkv`. Kernels with the same source share a pipeline, which has the name of the first.
   */
  readonly name: string;
  readonly shader: ShaderSource;
  readonly summation: SummationClass;
  /** What the kernel itself gives its args: its shape, if that is not compiled in. */
  readonly args?: ArgValues;
  /** Workgroup counts for that many rows; each at most 65,535. */
  workgroups(rows: number): readonly [number, number, number];
  cost(work: Workload): Cost;
  /** Set if this kernel leaves partial sums in binding `partials`: what makes them whole, run right after it. */
  readonly split?: {
    readonly merge: Kernel;
    /** Bytes of `partials` for that many rows. */
    bytes(rows: number): number;
  };
}

/** A kernel, and the largest number of rows that it serves. Lists of them are ascending: the first that reaches serves. */
export interface RowRange {
  readonly maxRows: number;
  readonly kernel: Kernel;
}

/** The kernel of a list that serves that many rows. */
export function kernelFor(ranges: readonly RowRange[], rows: number): Kernel {
  const found = ranges.find(({ maxRows }) => rows <= maxRows);
  if (!found) throw new Error(`No kernel serves ${rows} rows: ${ranges.map(({ kernel }) => kernel.name).join(", ")}`);
  return found.kernel;
}

/** What runs if a kernel is chosen, in order: the kernel, and what makes its partial sums whole. */
export function inOrder(kernel: Kernel): readonly Kernel[] {
  return kernel.split ? [kernel, kernel.split.merge] : [kernel];
}

/**
 * The kernel families that serve the same operations: `register` has no workgroup memory and no barrier
 * and suits software devices; `tiled` shares tiles through workgroup memory and suits GPUs.
 */
export type KernelFamily = "register" | "tiled";
