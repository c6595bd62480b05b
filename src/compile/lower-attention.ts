/** Attention as dispatches, with one of its own for captured softmax weights. */
import { patternKernel } from "../kernels/attention.ts";
import { attentionOperation } from "../kernels/attention-variants.ts";
import type { FusedAttention } from "./fused.ts";
import { activation, type LoweringContext, MAX_ROWS, naming, served } from "./lower-context.ts";
import type { BufferRole, Dispatch } from "./plan.ts";

export function lowerAttention(ctx: LoweringContext, op: FusedAttention): Dispatch[] {
  const { config } = ctx.graph;
  const layer = op.layer ?? 0;
  const taps = ctx.captures.tapsOf(op);
  const shape = {
    heads: config.num_attention_heads,
    kv_heads: config.num_key_value_heads,
    head_dim: config.head_dim,
    taps: taps.names,
    ...(ctx.stages.isStaged(op) && { staged: true }),
    maxRows: MAX_ROWS,
  };
  const stages = ctx.stages.partOf(op);
  const args = { scale: op.scale, window: op.window, slot_stride: ctx.options.capacity };
  const bind: Record<string, BufferRole> = {
    q: activation(ctx, op.queries),
    k_cache: { role: "keys", layer },
    v_cache: { role: "values", layer },
    slots: { role: "slots" },
    z: activation(ctx, op.out),
    capture: { role: "capture" },
  };
  const place = { layer: op.layer, rows: "rows", readsCache: true } as const;
  const core: Dispatch = {
    ...naming(stages),
    ...place,
    label: op.label,
    ...served(ctx, attentionOperation(shape, ctx.options)),
    args: { ...args, ...taps.args, ...stages.args },
    bind: { ...bind, ...stages.bind },
  };
  const pattern = ctx.captures.patternOf(op);
  if (!pattern) return [core];
  return [
    core,
    {
      ...place,
      label: `${op.label} pattern`,
      candidates: [{ maxRows: Infinity, kernel: patternKernel({ ...shape, staged: false }) }],
      args: { ...args, offset: pattern.offset, key_stride: pattern.stride },
      bind: { ...bind, pattern: { role: "capture" } },
    },
  ];
}
