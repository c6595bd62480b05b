/** Attention as dispatches, with one of its own for captured softmax weights. */
import { patternKernel } from "../kernels/attention/attention.ts";
import type { AttentionShape } from "../kernels/attention/shape.ts";
import { attentionMerge, attentionSplit, splitBytes, splitParts } from "../kernels/attention/split.ts";
import { attentionOperation } from "../kernels/attention/variants.ts";
import type { ArgValues, Kernel } from "../kernels/kernel.ts";
import { type FusedNode, labelOf } from "./fused.ts";
import { activation, dispatchOf, type LoweringContext, MAX_ROWS, served, servedBy } from "./lower-context.ts";
import type { BufferRole, Dispatch, SplitRule } from "./plan.ts";

/**
 * When attention is split over the keys: more rows are workgroups enough, and below that many keys a second dispatch takes
 * longer than it saves.
 */
const SPLIT: SplitRule = { maxRows: 4, minKeys: 512 };

/** The rule for a plan whose attention can be split at all. */
export function splitRule(dispatches: readonly Dispatch[]): SplitRule | undefined {
  return dispatches.some(({ split }) => split) ? SPLIT : undefined;
}

export function lowerAttention(ctx: LoweringContext, op: FusedNode<"attention">): Dispatch[] {
  const { config } = ctx.graph;
  const layer = op.layer ?? 0;
  const taps = ctx.captures.tapsOf(op);
  const shape: AttentionShape = {
    heads: config.num_attention_heads,
    kv_heads: config.num_key_value_heads,
    head_dim: config.head_dim,
    taps: taps.names,
    ...(ctx.stages.isStaged(op) && { staged: true, programs: ctx.stages.hasPrograms }),
    cache: ctx.options.cache,
    maxRows: MAX_ROWS,
  };
  const own = { ...dispatchOf(ctx, op), readsCache: true };
  const { queries, scale, window } = op.node;
  const args = { scale, window, slot_stride: ctx.options.capacity };
  const bind: Record<string, BufferRole> = {
    q: activation(ctx, queries),
    k_cache: { role: "keys", layer },
    v_cache: { role: "values", layer },
    slots: { role: "slots" },
    z: activation(ctx, op.out),
  };
  const core: Dispatch = {
    ...own,
    ...served(ctx, attentionOperation(shape, ctx.options)),
    args: { ...args, ...own.args },
    bind: { ...bind, ...own.bind },
  };
  const dispatches = splitOf(ctx, shape, core, { parts: args, merge: own.args });
  const pattern = ctx.captures.patternOf(op);
  if (!pattern) return dispatches;
  return [
    ...dispatches,
    {
      layer: op.layer,
      rows: "rows",
      readsCache: true,
      label: labelOf(`${op.role} pattern`, op.layer),
      ...servedBy(patternKernel({ ...shape, staged: false, programs: false })),
      args: { ...args, offset: pattern.offset, key_stride: pattern.stride },
      bind: { ...bind, pattern: { role: "capture" } },
    },
  ];
}

/**
 * The dispatch, and the two that take its place for long caches where `attention/decode` is the guess for single rows. What a
 * tuner chose in its place was timed on a short cache.
 */
function splitOf(
  { activations, options }: LoweringContext,
  shape: AttentionShape,
  core: Dispatch,
  args: { readonly parts: ArgValues; readonly merge: ArgValues },
): Dispatch[] {
  const few = (core.operation?.guess ?? core.candidates)[0]?.kernel.shader.entry;
  if (options.reference || few !== "attention/decode" || options.capacity < SPLIT.minKeys) return [core];
  const parts = splitParts(options.capacity);
  const parts_of_rows: BufferRole = {
    role: "activation",
    index: activations.shared("attention parts", splitBytes(shape, parts, SPLIT.maxRows)),
  };
  const { label, layer, rows, bind, stages } = core;
  const common = { layer, rows, bind: { ...bind, parts_of_rows }, split: true } as const;
  const only = (kernel: Kernel) => [{ maxRows: SPLIT.maxRows, kernel }];
  return [
    { ...core, split: false },
    {
      ...common,
      label: `${label} parts`,
      args: args.parts,
      readsCache: true,
      candidates: only(attentionSplit(shape, parts)),
    },
    {
      ...common,
      label: `${label} merge`,
      args: args.merge,
      readsCache: false,
      candidates: only(attentionMerge(shape, parts)),
      ...(stages && { stages }),
    },
  ];
}
