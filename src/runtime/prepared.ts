/** Dispatches of a plan with what the executor made ready for them, and what a step of some size takes of them. */
import type { Dispatch, Tail } from "../compile/plan.ts";
import type { Cost, Kernel, Workload } from "../kernels/kernel.ts";
import type { StepRows } from "../kernels/step.ts";
import type { Head, StepSize } from "./run.ts";

export interface PreparedKernel {
  readonly kernel: Kernel;
  /** Byte offset and size of this kernel's args for this dispatch. */
  readonly argsOffset: number;
  readonly argsBytes: number;
  /** What it last cost: decode steps differ in the keys that they see, and most kernels see none. */
  last: { readonly rows: number; readonly keys: number; readonly cost: Cost } | undefined;
  /** Made when the first step needs them. */
  ready: { readonly pipeline: GPUComputePipeline; readonly bindings: GPUBindGroup } | undefined;
}

export interface PreparedCandidate {
  readonly maxRows: number;
  /** The kernel and its merge, if it has one. */
  readonly kernels: readonly PreparedKernel[];
}

export interface PreparedDispatch {
  readonly planned: Dispatch;
  readonly rows: Dispatch["rows"];
  readonly readsCache: boolean;
  readonly candidates: readonly PreparedCandidate[];
}

export function sizeOf({ rows, outs }: StepRows, head: Head, tail: Tail): StepSize {
  const keys = rows.reduce((most, { position }) => Math.max(most, position + 1), 0);
  return { rows: rows.length, outs: outs.length, keys, head, tail };
}

export function costOf(prepared: PreparedKernel, { rows, keys }: Workload): Cost {
  const { last, kernel } = prepared;
  if (last && last.rows === rows && last.keys === keys) return last.cost;
  const cost = kernel.cost({ rows, keys });
  prepared.last = { rows, keys, cost };
  return cost;
}

export function kernelsFor(dispatch: PreparedDispatch, rows: number): readonly PreparedKernel[] {
  for (const { maxRows, kernels } of dispatch.candidates) if (rows <= maxRows) return kernels;
  throw new Error(`No kernel of the plan serves ${rows} rows`);
}
