/**
 * What a decode step of a plan would take on GPUs that are not at hand: a step is bound by the bytes it moves, pays for
 * each dispatch, and waits if a kernel has a single workgroup, which one compute unit runs while the others idle.
 */
import { belongs, type Dispatch, kernelsOf, type Plan } from "./plan.ts";

export interface NamedBandwidth {
  readonly name: string;
  readonly gb_per_s: number;
}

export const bandwidths: readonly NamedBandwidth[] = [
  { name: "laptop, shared memory", gb_per_s: 100 },
  { name: "RTX 3060", gb_per_s: 360 },
  { name: "RTX 4090", gb_per_s: 1008 },
  { name: "H100", gb_per_s: 3350 },
];

/** Bytes are never read at the full rate: what good kernels reach is about three quarters. */
const OVERHEAD = 1.3;
/** Milliseconds that an empty dispatch takes on current GPUs. */
const DISPATCH_MS = 0.003;
/** 10⁹ bytes a second that one compute unit reads on its own. */
const SINGLE_UNIT_GB_PER_S = 25;

export interface StepCost {
  readonly bytes: number;
  readonly flops: number;
  readonly dispatches: number;
  /** Dispatches with one workgroup, and the bytes that they move. */
  readonly alone: readonly Dispatch[];
  readonly aloneBytes: number;
}

/** Cost of one decode step of one sequence at a position. */
export function decodeCost(plan: Plan, position: number): StepCost {
  const dispatches = [...plan.body, ...plan.finalNorm, ...plan.head, ...plan.tails.greedy].filter((dispatch) =>
    belongs(dispatch, plan, 1, position + 1),
  );
  let bytes = 0;
  let flops = 0;
  let aloneBytes = 0;
  let count = 0;
  const alone: Dispatch[] = [];
  for (const dispatch of dispatches) {
    for (const kernel of kernelsOf(dispatch, 1)) {
      const cost = kernel.cost({ rows: 1, keys: dispatch.readsCache ? position + 1 : 0 });
      count++;
      bytes += cost.bytes;
      flops += cost.flops;
      if (kernel.workgroups(1).reduce((product, size) => product * size, 1) === 1) {
        alone.push(dispatch);
        aloneBytes += cost.bytes;
      }
    }
  }
  return { bytes, flops, dispatches: count, alone, aloneBytes };
}

/** Milliseconds of a step: 1.3 × bytes / bandwidth + dispatches + what single workgroups read on their own. */
export function estimateMs(cost: StepCost, { gb_per_s }: NamedBandwidth): number {
  const moved = (OVERHEAD * cost.bytes) / gb_per_s / 1e6;
  return moved + cost.dispatches * DISPATCH_MS + cost.aloneBytes / SINGLE_UNIT_GB_PER_S / 1e6;
}
