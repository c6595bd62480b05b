/** Norms as dispatches, plain or edited by stages. */

import { siteName } from "../graph/site.ts";
import type { Kernel } from "../kernels/kernel.ts";
import { editedNormKernel, notesOverflow } from "../kernels/norm/edited.ts";
import { type NormShape, normKernel } from "../kernels/norm/norm.ts";
import { type FusedNorm, labelOf, type NormEdit, rowsOf } from "./fused.ts";
import { activation, type LoweringContext, MAX_ROWS, naming } from "./lower-context.ts";
import type { Dispatch } from "./plan.ts";
import type { StagePart } from "./stage-lowering.ts";
import { vectorSource } from "./weight-layout.ts";

/** Args of edited norms that only an edge mask has a use for. */
const ofEdgeMasks: ReadonlySet<string> = new Set([
  "slot_stride",
  "delta_slot",
  "private_delta",
  "e_in",
  "e_out",
  "private_e",
  "mask",
]);

export function lowerNorm(ctx: LoweringContext, op: FusedNorm): Dispatch {
  const taps = ctx.captures.tapsOf(op);
  const norms = op.taps.get("resid_pre") ?? op.taps.get("resid_post");
  const edited = op.edit && editedNorm(ctx, op, op.edit, taps.names);
  const notes = edited?.notesOverflow ?? true;
  const { kind, gain, bias, eps } = op.node;
  return {
    ...naming(edited?.part),
    label: labelOf(op.role, op.layer),
    layer: op.layer,
    rows: rowsOf(op),
    readsCache: false,
    ...(norms && { norms: siteName(norms.site) }),
    candidates: [
      { maxRows: Infinity, kernel: edited?.kernel ?? normKernel({ ...normShape(op), taps: taps.names }, ctx.options) },
    ],
    args: {
      gain: ctx.layout.vectorOffset(vectorSource(gain)),
      ...(kind === "layer" && { bias: bias ? ctx.layout.vectorOffset(vectorSource(bias)) : 0 }),
      eps,
      // The earlier, the greater.
      ...(notes && { rank: ctx.ops.length - ctx.ops.indexOf(op) }),
      ...taps.args,
      ...edited?.part.args,
    },
    bind: {
      input: activation(ctx, op.input),
      params: { role: "params" },
      output: activation(ctx, op.out),
      capture: { role: "capture" },
      overflow: { role: "overflow" },
      ...edited?.part.bind,
    },
  };
}

/** The kernel of a norm whose rows stages edit, and what it takes besides. */
function editedNorm(
  ctx: LoweringContext,
  op: FusedNorm,
  edit: NormEdit,
  taps: readonly string[],
): { readonly kernel: Kernel; readonly notesOverflow: boolean; readonly part: StagePart } {
  const { slots, ranks, scalesInNorms } = ctx.stages;
  const part = ctx.stages.normPart(op, ctx.activations.variantStride(op.out) / 16, taps.includes("out"));
  const shape = {
    ...normShape(op),
    taps,
    // Of all norms, so that they share a kernel; what a norm does not have it binds its input in place of.
    deltas: ctx.ops.some((other) => other.kind === "norm" && other.edit?.delta !== undefined),
    sourced: slots.count > 0,
    tracked: slots.tracked,
    scales: scalesInNorms,
    ranks,
    programs: ctx.stages.hasPrograms,
  };
  const args = Object.entries(part.args).filter(
    ([name]) => (shape.sourced || !ofEdgeMasks.has(name)) && (shape.scales || name !== "list_norm"),
  );
  return {
    kernel: editedNormKernel(shape, part.variants, ctx.options),
    notesOverflow: notesOverflow(shape),
    part: {
      ...part,
      args: Object.fromEntries(args),
      bind: {
        ...part.bind,
        delta: activation(ctx, edit.delta?.value ?? op.input),
        stream: edit.stream ? activation(ctx, edit.stream) : { role: "activation", index: ctx.activations.unused },
      },
    },
  };
}

function normShape(op: FusedNorm): NormShape {
  return { kind: op.node.kind, width: op.input.width, outs: op.selectsOuts, maxRows: MAX_ROWS, flagged: true };
}
