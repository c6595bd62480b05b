/** Linear layers, and the outputs of single heads, as dispatches: one for each part of a matrix. */
import { type LinearShape, linearOperation } from "../kernels/linear/linear.ts";
import { headSourcesKernel } from "../kernels/stages/head-sources.ts";
import { kernelsFor } from "../kernels/variants.ts";
import { isQuantised } from "../kernels/weight-dtype.ts";
import { type FusedLinear, type FusedNode, rowsOf } from "./fused.ts";
import {
  activation,
  dispatchOf,
  kernelDtype,
  type LoweringContext,
  MAX_ROWS,
  naming,
  partLabel,
  served,
  servedBy,
} from "./lower-context.ts";
import type { Dispatch } from "./plan.ts";
import { joined } from "./stage-lowering.ts";
import { linearSources, tableSource, vectorSource, type WeightPart } from "./weight-layout.ts";

export function lowerLinear(ctx: LoweringContext, op: FusedLinear): Dispatch[] {
  const sources = linearSources(op);
  const matrix = ctx.layout.matrix(sources.matrix);
  const taps = ctx.captures.tapsOf(op);
  const heads = headSumsOf(ctx, op);
  const grouped = op.epilogue.kind === "qkv" && ctx.stages.isStaged(op);
  const own = ctx.stages.partOf(op);
  // What stages are to queries, keys and values is which variant of the input each head reads.
  const part = grouped ? { ...own, args: {}, bind: {} } : own;
  const stages = heads ? joined(part, ctx.stages.partOf(heads)) : part;
  const stride = ctx.activations.variantStride(op.input);
  return matrix.parts.map((strips, i) => ({
    ...naming(stages),
    label: partLabel(op, i, matrix.parts.length),
    layer: op.layer,
    rows: rowsOf(op),
    readsCache: false,
    ...served(
      ctx,
      linearOperation({ ...partShape(ctx, op, strips), ...(heads && { heads: headShape(ctx, heads) }) }, ctx.options),
    ),
    args: {
      ...stages.args,
      ...(grouped && { variant_stride: stride / 16, variants: op.reads ?? plainReads(ctx) }),
      first_strip: strips.firstStrip,
      ...(sources.bias && { bias: ctx.layout.vectorOffset(sources.bias) }),
      ...taps.args,
    },
    bind: {
      weights: { role: "weights", part: strips.index },
      input: activation(ctx, op.input, op.variant * stride),
      params: { role: "params" },
      ...stages.bind,
      ...(op.epilogue.kind === "qkv"
        ? {
            q: activation(ctx, op.out),
            rope: { role: "rope" },
            k_cache: { role: "keys", layer: op.layer ?? 0 },
            v_cache: { role: "values", layer: op.layer ?? 0 },
          }
        : { output: activation(ctx, op.out) }),
      ...(op.residual && { residual: activation(ctx, op.residual) }),
      partials: { role: "partials" },
      capture: { role: "capture" },
    },
  }));
}

/** The shape of a kernel for one part of a matrix, without the sums of single heads. */
function partShape(ctx: LoweringContext, op: FusedLinear, { strips }: Pick<WeightPart, "strips">): LinearShape {
  const { matrix, bias } = linearSources(op);
  const { k, n, dtype } = ctx.layout.matrix(matrix);
  return {
    K: k,
    N: n,
    strips,
    dtype: kernelDtype(dtype),
    epilogue: op.epilogue.kind === "qkv" ? { ...op.epilogue, cache: ctx.options.cache } : op.epilogue,
    bias: bias !== undefined,
    taps: ctx.captures.tapsOf(op).names,
    outs: rowsOf(op) === "outs",
    edits: ctx.stages.editsOf(op),
    stacked: ctx.stages.isStacked(op),
    ...(ctx.stages.hasPrograms && { programs: true }),
    ...(ctx.stages.isSourced(op) && { sourced: true }),
    ...(op.epilogue.kind === "qkv" && ctx.stages.isStaged(op) && { grouped: true }),
    maxRows: MAX_ROWS,
  };
}

/** One dispatch for each part of the output projection, unless its own kernel sums the heads. */
export function lowerHeadSources(ctx: LoweringContext, op: FusedNode<"head_sources">): Dispatch[] {
  if (sumsHeads(ctx, op)) return [];
  const { num_attention_heads: heads, head_dim, hidden_size: width } = ctx.graph.config;
  const { input, weight, bias, heads: listed } = op.node;
  const matrix = ctx.layout.matrix(tableSource(weight));
  const own = dispatchOf(ctx, op);
  // A workgroup (z) for each head of the list: how many there are is not asked again.
  const { head_count: _, ...args } = own.args;
  const shape = {
    heads,
    head_dim,
    width,
    dtype: kernelDtype(matrix.dtype),
    bias: bias !== undefined,
    maxRows: MAX_ROWS,
  };
  return matrix.parts.map((part, i) => ({
    ...own,
    ...servedBy(headSourcesKernel({ ...shape, strips: part.strips }, listed.length)),
    label: partLabel(op, i, matrix.parts.length),
    args: {
      first_strip: part.firstStrip,
      bias: bias ? ctx.layout.vectorOffset(vectorSource(bias)) : 0,
      ...args,
    },
    bind: {
      weights: { role: "weights", part: part.index },
      z: activation(ctx, input),
      params: { role: "params" },
      ...own.bind,
    },
  }));
}

/**
 * Whether the output projection's kernels sum single heads as well, after their own sums and from weights that are still in
 * the cache. Register kernels can; those that share weights among threads cannot, and on GPUs a dispatch costs less than such
 * a tail. Where some number of rows is served by another, the heads keep a dispatch of their own.
 */
function sumsHeads(ctx: LoweringContext, { layer, node }: FusedNode<"head_sources">): boolean {
  const { dtype, parts } = ctx.layout.matrix(tableSource(node.weight));
  const unit = isQuantised(kernelDtype(dtype)) ? 32 : 4;
  const projection = ctx.ops.find(
    (op): op is FusedLinear => op.kind === "linear" && op.role === "attn.out" && op.layer === layer,
  );
  if (!projection || ctx.graph.config.head_dim % unit !== 0) return false;
  return parts.every((part) => {
    const operation = linearOperation(partShape(ctx, projection, part), ctx.options);
    return kernelsFor(operation, ctx.options).every(({ kernel }) => kernel.shader.entry === "linear/register");
  });
}

/** The heads that an output projection sums besides its own outputs. */
function headSumsOf(ctx: LoweringContext, op: FusedLinear): FusedNode<"head_sources"> | undefined {
  return ctx.ops.find(
    (other): other is FusedNode<"head_sources"> =>
      op.role === "attn.out" && other.kind === "head_sources" && other.layer === op.layer && sumsHeads(ctx, other),
  );
}

function headShape({ graph }: LoweringContext, { node }: FusedNode<"head_sources">): NonNullable<LinearShape["heads"]> {
  const { num_attention_heads: count, head_dim } = graph.config;
  return { count, head_dim, bias: node.bias !== undefined, listed: node.heads.length };
}

/** Every head reads the uncorrected rows. */
function plainReads(ctx: LoweringContext): readonly number[] {
  const { num_attention_heads: H, num_key_value_heads: G } = ctx.graph.config;
  return Array<number>(H + 2 * G).fill(0);
}
