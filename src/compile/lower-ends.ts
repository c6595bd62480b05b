/** The two ends of a step as dispatches: the embedding, and what follows the logits. */
import { SluiceError } from "../errors.ts";
import { embedKernel } from "../kernels/embed.ts";
import type { ArgValues, Kernel } from "../kernels/kernel.ts";
import { argmaxKernels } from "../kernels/sample/argmax.ts";
import { crossEntropyKernels } from "../kernels/sample/cross-entropy.ts";
import { logprobsKernel, sampleKernel } from "../kernels/sample/sample.ts";
import type { FusedNode } from "./fused.ts";
import {
  activation,
  dispatchOf,
  kernelDtype,
  type LoweringContext,
  MAX_ROWS,
  partLabel,
  servedBy,
} from "./lower-context.ts";
import type { BufferRole, Dispatch, Plan } from "./plan.ts";
import { tableSource } from "./weight-layout.ts";

/** One dispatch for each part of the table; rows of other parts are left alone. */
export function lowerEmbed(ctx: LoweringContext, op: FusedNode<"embed">): Dispatch[] {
  const { config } = ctx.graph;
  const { node } = op;
  const table = ctx.layout.matrix(tableSource(node.tokens));
  const positions = node.positions && ctx.layout.matrix(tableSource(node.positions));
  if (positions && positions.parts.length > 1) {
    throw new SluiceError(
      "device_limit",
      `The position table (${node.positions?.tensor}) exceeds what this device can bind at once`,
      {
        hint: "No model in circulation does; use a device with a larger maxStorageBufferBindingSize.",
      },
    );
  }
  const own = dispatchOf(ctx, op);
  const kernel = embedKernel({
    width: config.hidden_size,
    vocab: config.vocab_size,
    wte: kernelDtype(table.dtype),
    ...(positions && { wpe: kernelDtype(positions.dtype) }),
    taps: ctx.captures.tapsOf(op).names,
    staged: ctx.stages.isStaged(op),
    programs: ctx.stages.isStaged(op) && ctx.stages.hasPrograms,
    sourced: op.source !== undefined,
    maxRows: MAX_ROWS,
  });
  return table.parts.map((part, i) => ({
    ...own,
    ...servedBy(kernel),
    label: partLabel(op, i, table.parts.length),
    args: { first_row: part.firstStrip * 4, row_count: part.strips * 4, ...own.args },
    bind: {
      tokens: { role: "tokens" },
      wte: { role: "weights", part: part.index },
      ...(positions && { wpe: { role: "weights", part: positions.parts[0]?.index ?? 0 } }),
      output: activation(ctx, op.out),
      ...own.bind,
    },
  }));
}

export function lowerTails(ctx: LoweringContext): Plan["tails"] {
  const shape = { vocab: ctx.graph.config.vocab_size, maxRows: MAX_ROWS };
  const argmax = argmaxKernels(shape, ctx.options);
  const loss = crossEntropyKernels(shape, ctx.options);
  const partial: BufferRole = {
    role: "activation",
    index: ctx.activations.scratch(Math.max(argmax.partialBytes(ctx.chunkOuts), loss.partialBytes(ctx.chunkOuts))),
  };
  const bind: Record<string, BufferRole> = {
    logits: activation(ctx, ctx.graph.logits),
    partials: partial,
    tokens: { role: "tokens" },
    settings: { role: "settings" },
    seen: { role: "seen" },
    losses: { role: "losses" },
    adjustments: { role: "adjustments" },
    allowed: { role: "allowed" },
    logprobs: { role: "logprobs" },
  };
  const tail = (label: string, kernel: Kernel, args: ArgValues = {}): Dispatch => ({
    label,
    layer: undefined,
    rows: "outs",
    readsCache: false,
    ...servedBy(kernel),
    args,
    bind,
  });
  const adjusted = tail("sample adjusted", sampleKernel(shape, { ...ctx.options, adjusted: true }));
  return {
    greedy: [tail("argmax partial", argmax.partial), tail("argmax", argmax.final)],
    sample: [tail("sample", sampleKernel(shape, ctx.options))],
    adjusted: [adjusted],
    scored: [adjusted, tail("log probabilities", logprobsKernel(shape, ctx.options))],
    loss: [tail("cross_entropy partial", loss.partial), tail("cross_entropy", loss.final, { offset: 0 })],
  };
}
