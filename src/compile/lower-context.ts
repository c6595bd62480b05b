/** What lowering one operation needs to know of the whole plan. */
import type { Graph, Value } from "../graph/graph.ts";
import type { Kernel, KernelFamily } from "../kernels/kernel.ts";
import type { CacheDtype } from "../kernels/linear/epilogue.ts";
import { type KernelChoices, kernelsFor, type Operation } from "../kernels/variants.ts";
import type { WeightDtype } from "../kernels/weight-dtype.ts";
import type { ActivationPlanner } from "./activations.ts";
import type { CaptureLayout } from "./captures.ts";
import { type FusedOp, labelOf, type NodeOp, rowsOf } from "./fused.ts";
import type { BufferRole, Dispatch } from "./plan.ts";
import type { StageLowering, StagePart } from "./stage-lowering.ts";
import type { MatrixDtype, WeightLayout } from "./weight-layout.ts";

/** MAX_ROWS of the step uniform: the largest chunk of rows that one step can carry. */
export const MAX_ROWS = 256;

export interface LoweringContext {
  readonly graph: Graph;
  readonly ops: readonly FusedOp[];
  readonly layout: WeightLayout;
  readonly options: {
    readonly family: KernelFamily;
    readonly reference: boolean;
    /** How keys and values are cached. */
    readonly cache: CacheDtype;
    readonly subgroups?: boolean;
    readonly choices?: KernelChoices;
    readonly capacity: number;
    readonly sequences: number;
  };
  readonly captures: CaptureLayout;
  readonly activations: ActivationPlanner;
  readonly stages: StageLowering;
  /** Most out rows of a step. */
  readonly chunkOuts: number;
}

/** The buffer of a value, from a byte offset on. */
export function activation({ activations }: LoweringContext, value: Value, offset = 0): BufferRole {
  return { role: "activation", index: activations.indexOf(value), ...(offset > 0 && { offset }) };
}

/** The stages of a dispatch by name, if it has any. */
export function naming(part: StagePart | undefined): { readonly stages?: readonly string[] } {
  return part && part.names.length > 0 ? { stages: part.names } : {};
}

/**
 * What a dispatch has of the node that it serves: its place in the model, and the captures and stages that act in its kernel.
 * The caller adds kernels, and to `args` and `bind` what the kernel computes with.
 */
export function dispatchOf(ctx: LoweringContext, op: NodeOp): Omit<Dispatch, "candidates"> {
  const stages = ctx.stages.partOf(op);
  return {
    ...naming(stages),
    label: labelOf(op.role, op.layer),
    layer: op.layer,
    rows: rowsOf(op),
    readsCache: false,
    args: { ...ctx.captures.tapsOf(op).args, ...stages.args },
    bind: { capture: { role: "capture" }, ...stages.bind },
  };
}

/** The label of a dispatch for one of the parts into which a matrix is cut. */
export function partLabel({ role, layer }: FusedOp, part: number, parts: number): string {
  return labelOf(parts > 1 ? `${role} ${part + 1}/${parts}` : role, layer);
}

/** A kernel for any number of rows, as part of a dispatch. */
export function servedBy(kernel: Kernel): Pick<Dispatch, "candidates"> {
  return { candidates: [{ maxRows: Infinity, kernel }] };
}

/** The kernels of an operation that several can serve, as part of a dispatch. */
export function served(ctx: LoweringContext, operation: Operation): Pick<Dispatch, "candidates" | "operation"> {
  return { candidates: kernelsFor(operation, ctx.options), operation };
}

export function kernelDtype(dtype: MatrixDtype): WeightDtype {
  switch (dtype) {
    case "F32":
      return "f32";
    case "F16":
      return "f16";
    case "BF16":
      return "bf16";
    default:
      return dtype;
  }
}
