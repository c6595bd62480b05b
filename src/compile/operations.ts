/**
 * Operations that are one node of the graph, a record per kind. Fusion makes an operation of every node that has a record
 * here. Which values it reads, its weights, its captures and its stages follow from the node, so no other phase knows its kind.
 */
import type { FusedNode, FusedOp, OwnOp } from "./fused.ts";
import { lowerAttention } from "./lower-attention.ts";
import type { LoweringContext } from "./lower-context.ts";
import { lowerEmbed } from "./lower-ends.ts";
import { lowerHeadSources, lowerLinear } from "./lower-linear.ts";
import { lowerNorm } from "./lower-norm.ts";
import type { Dispatch } from "./plan.ts";

/** How a kind of node is run by a kernel of its own. */
interface Operation<Op extends OwnOp> {
  /** What it is in its block: `attn.core` in `blocks.3.attn.core`. */
  readonly role: string;
  /** The value that it makes is captured by `tap_<tap>` of its kernel, if it is a site; absent: it makes none. */
  readonly tap?: string;
  /** Stages of single elements that follow act in its kernel, as its `list_<list>` says; absent: in none. */
  readonly list?: string;
  /** Its kernel can keep the value as a source of an edge mask. */
  readonly isSource?: boolean;
  /** Its dispatches, in order. */
  lower(ctx: LoweringContext, op: FusedNode<Op>): readonly Dispatch[];
}

const operations: { readonly [Op in OwnOp]?: Operation<Op> } = {
  embed: { role: "embed", tap: "embed", isSource: true, lower: lowerEmbed },
  attention: { role: "attn.core", tap: "z", list: "z", lower: lowerAttention },
  head_sources: { role: "attn.head_sources", lower: lowerHeadSources },
};

/** The record of a kind of node; undefined if it only ever is part of another's operation. */
export function operationOf<Op extends OwnOp>(op: Op): Operation<Op> | undefined {
  return operations[op];
}

/** The dispatches of an operation, in order. */
export function lowerOperation(ctx: LoweringContext, op: FusedOp): readonly Dispatch[] {
  if (op.kind === "norm") return [lowerNorm(ctx, op)];
  if (op.kind === "linear") return lowerLinear(ctx, op);
  const operation = operationOf(op.kind);
  if (!operation) throw new Error(`A ${op.kind} node has no record of how it is run`);
  // A kind's record takes nodes of that kind, which the compiler cannot see of a union.
  return operation.lower(ctx, op as FusedNode<OwnOp>);
}
