/** What fusion makes of a graph: one entry per operation, of which lowering makes no, one or several dispatches. */
import {
  type EdgeVariant,
  inputsOf,
  type MatrixRef,
  type Node,
  type NodeOf,
  type StageForm,
  type StageUse,
  type Value,
  type VectorRef,
} from "../graph/graph.ts";
import type { Site } from "../graph/site.ts";
import type { LinearEpilogue } from "../kernels/linear/linear.ts";

interface Placed {
  /** What the operation is in its block, or at the ends of the model. Operations of one role share their kernels. */
  readonly role: string;
  /** Block number, or undefined before the first and after the last block. */
  readonly layer: number | undefined;
  /** Site values this operation owns, by the name of the tap in its kernel. */
  readonly taps: ReadonlyMap<string, TappedSite>;
}

/** A site inside a fused operation. */
export interface TappedSite {
  readonly site: Site;
  readonly width: number;
}

/** Kinds of nodes that have no fused operation of their own design. */
export type OwnOp = Exclude<Node["op"], "norm" | "linear">;

/** An operation that is one node of the graph, and the stages that its kernel carries: see operations.ts. */
export interface FusedNode<Op extends OwnOp> extends Placed {
  readonly kind: Op;
  readonly node: NodeOf<Op>;
  /** What it makes, after its stages. */
  readonly out: OutOf<NodeOf<Op>>;
  /** Stages of single elements, and the name of their list in the kernel; absent if it carries none. */
  readonly stages: readonly StageUse[];
  readonly list?: string;
  /** Canonical index of the result as a source of the edge mask, if one needs it. */
  readonly source?: number;
}

type OutOf<Each> = Each extends { readonly out: Value } ? Value : undefined;

/** Any of them. */
export type NodeOp = { [Op in OwnOp]: FusedNode<Op> }[OwnOp];

/** A stage that edits whole rows, in the kernel that owns them. */
export interface RowStage {
  readonly form: StageForm;
  readonly use: StageUse;
  readonly tracked: boolean;
}

/** What stages add to a norm: see shaders/norm/edited.wgsl. */
export interface NormEdit {
  /** The residual add was moved here: the row is input + value after these stages. */
  readonly delta?: {
    readonly value: Value;
    readonly stages: readonly RowStage[];
    readonly source?: number;
  };
  /** At resid_post of the block before, or at resid_mid. */
  readonly post: readonly RowStage[];
  /** At resid_pre. */
  readonly pre: readonly RowStage[];
  /** Stages of single elements at attn_norm or mlp_norm. */
  readonly norm: readonly StageUse[];
  /** Destinations with masked edges; the uncorrected row is variant 0, theirs follow. */
  readonly variants: readonly EdgeVariant[];
  /** The edited stream, if anything later reads it. */
  readonly stream?: Value;
}

export interface FusedNorm extends Placed {
  readonly kind: "norm";
  readonly role: "attn.norm" | "mlp.norm" | "final_norm";
  readonly node: NodeOf<"norm">;
  readonly input: Value;
  readonly out: Value;
  /** The rows are gathered through the step's out rows. */
  readonly selectsOuts: boolean;
  /** Absent if no stage touches the row. */
  readonly edit?: NormEdit;
}

/** A part of a fused linear operation: a matrix and its bias. */
export interface LinearPart {
  readonly weight: MatrixRef;
  readonly bias?: VectorRef;
}

/** out = epilogue(input · Wᵀ + bias) */
export interface FusedLinear extends Placed {
  readonly kind: "linear";
  /** `linear`: a projection that nothing follows. */
  readonly role: "attn.qkv" | "attn.out" | "mlp.gate_up" | "mlp.up" | "mlp.down" | "lm_head" | "linear";
  readonly input: Value;
  /** Variant of the input that is read, if it has several; `qkv`: `reads` says it for each group of head_dim outputs. */
  readonly variant: number;
  readonly reads?: readonly number[];
  /** Stages of single elements by the name of the kernel's list: pre, post, gate, up, out. */
  readonly stages: ReadonlyMap<string, readonly StageUse[]>;
  /** Canonical index of the result as a source of the edge mask (mlp_out). */
  readonly source?: number;
  /** `qkv`: queries, keys and values; `gated`: gate and up, whose strips take turns; otherwise one. */
  readonly parts: readonly [LinearPart, ...LinearPart[]];
  /** `qkv`: elements of each head of queries and keys that are rotated, from its start. */
  readonly rotary?: number;
  readonly epilogue: LinearEpilogue;
  /** `residual`: what the result is added to. */
  readonly residual?: Value;
  /** `qkv`: the queries, rotated; keys and values go to the layer's cache. */
  readonly out: Value;
}

export type FusedOp = FusedNorm | FusedLinear | NodeOp;

/** Where in the model an operation is, for people: `blocks.3.attn.qkv`. */
export function labelOf(role: string, layer: number | undefined): string {
  return layer === undefined ? role : `blocks.${layer}.${role}`;
}

/** The role in a label: `attn.qkv` of `blocks.3.attn.qkv`. */
export function roleIn(label: string, layer: number | undefined): string {
  const block = labelOf("", layer);
  return label.startsWith(block) ? label.slice(block.length) : label;
}

/** The values that an operation reads. */
export function readBy(op: FusedOp): readonly Value[] {
  if (op.kind === "norm") return op.edit?.delta ? [op.input, op.edit.delta.value] : [op.input];
  if (op.kind === "linear") return op.residual ? [op.input, op.residual] : [op.input];
  return inputsOf(op.node);
}

/** The values that an operation makes. */
export function writtenBy(op: FusedOp): readonly Value[] {
  if (op.kind === "norm" && op.edit?.stream) return [op.out, op.edit.stream];
  return op.out ? [op.out] : [];
}

/** Canonical indices of the sources of an edge mask that an operation keeps. */
export function keptBy(op: FusedOp): readonly number[] {
  if (op.kind === "head_sources") return op.node.heads.map(({ source }) => source);
  const source = op.kind === "norm" ? op.edit?.delta?.source : op.source;
  return source === undefined ? [] : [source];
}

/** The rows that an operation works on: all of the step, or those whose logits are wanted. */
export function rowsOf(op: FusedOp): Value["rows"] {
  return op.out?.rows ?? "rows";
}
