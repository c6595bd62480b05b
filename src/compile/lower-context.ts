/** What lowering one operation needs to know of the whole plan. */
import type { Graph, Value } from "../graph/graph.ts";
import type { KernelFamily } from "../kernels/kernel.ts";
import { type KernelChoices, kernelsFor, type Operation } from "../kernels/variants.ts";
import type { WeightDtype } from "../kernels/weight-dtype.ts";
import type { ActivationPlanner } from "./activations.ts";
import type { CaptureLayout } from "./captures.ts";
import type { FusedOp } from "./fused.ts";
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
