/** Pooling of captured sites as dispatches, one per site, right after the operation that makes it. */
import { type PoolReduction, poolKernel } from "../kernels/fit/pool.ts";
import type { FusedOp } from "./fused.ts";
import type { LoweringContext } from "./lower-context.ts";
import type { Dispatch, PooledLayout } from "./plan.ts";

export function lowerPools(
  { captures, options: { sequences } }: LoweringContext,
  op: FusedOp,
  reduction: PoolReduction,
): Dispatch[] {
  const { stride } = captures.pooled as PooledLayout;
  return captures.pooledOf(op).map(({ from, to }) => ({
    label: `pool ${to.site}`,
    layer: op.layer,
    rows: from.rows,
    readsCache: false,
    candidates: [{ maxRows: Infinity, kernel: poolKernel({ width: to.width, sequences, reduction }) }],
    args: {
      capture_at: from.offset / 4,
      table: from.rows === "outs" ? sequences : 0,
      pooled_at: to.offset / 4,
      stride: stride / 4,
    },
    bind: { capture: { role: "capture" }, segments: { role: "segments" }, pooled: { role: "pooled" } },
  }));
}
