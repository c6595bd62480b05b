/** What fusion makes of a graph: one entry per operation, of which lowering makes no, one or several dispatches. */
import type { EdgeVariant, MatrixRef, StageForm, StageUse, Value, VectorRef } from "../graph/graph.ts";
import type { Site } from "../graph/site.ts";
import type { ActivationName } from "../model-config.ts";

/** A part of a fused linear operation: a matrix and its bias, with the value it produces. */
export interface LinearPart {
  readonly weight: MatrixRef;
  readonly bias?: VectorRef;
  readonly out: Value;
}

/** What an operation is in its block, or at the ends of the model. Operations of one role share their kernels. */
export type OpRole =
  | "embed"
  | "attn.norm"
  | "attn.qkv"
  | "attn.core"
  | "attn.head_sources"
  | "attn.out"
  | "mlp.norm"
  | "mlp.gate_up"
  | "mlp.up"
  | "mlp.down"
  | "final_norm"
  | "lm_head"
  /** A projection that nothing follows. */
  | "linear";

interface Placed {
  readonly role: OpRole;
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

export interface FusedEmbed extends Placed {
  readonly kind: "embed";
  readonly tokens: MatrixRef;
  readonly positions: MatrixRef | undefined;
  readonly out: Value;
  /** Canonical index of the embedding as a source of the edge mask, if one needs it. */
  readonly source?: number;
}

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
  readonly norm: "layer" | "rms";
  readonly input: Value;
  readonly out: Value;
  /** The rows are gathered through the step's out rows. */
  readonly selectsOuts: boolean;
  readonly gain: VectorRef;
  readonly bias: VectorRef | undefined;
  readonly eps: number;
  /** Absent if no stage touches the row. */
  readonly edit?: NormEdit;
}

/** out = epilogue(input · Wᵀ + bias). */
export interface FusedLinear extends Placed {
  readonly kind: "linear";
  readonly input: Value;
  /** Variant of the input that is read, if it has several; `qkv`: `reads` says it for each group of head_dim outputs. */
  readonly variant: number;
  readonly reads?: readonly number[];
  /** Stages of single elements by the name of the kernel's list: pre, post, gate, up, out. */
  readonly stages: ReadonlyMap<string, readonly StageUse[]>;
  /** Canonical index of the result as a source of the edge mask (mlp_out). */
  readonly source?: number;
  readonly epilogue:
    | { readonly kind: "store"; readonly part: LinearPart; readonly out: Value }
    | {
        readonly kind: "activation";
        readonly part: LinearPart;
        readonly activation: ActivationName;
        readonly out: Value;
      }
    /** out = residual + (input · Wᵀ + bias) */
    | { readonly kind: "residual"; readonly part: LinearPart; readonly residual: Value; readonly out: Value }
    /** out = activation(gate) · up */
    | {
        readonly kind: "gated";
        readonly gate: LinearPart;
        readonly up: LinearPart;
        readonly activation: ActivationName;
        readonly out: Value;
      }
    /** Queries to an activation, keys and values to the layer's cache, the first two rotated if `rotary` is not 0. */
    | {
        readonly kind: "qkv";
        readonly q: LinearPart;
        readonly k: LinearPart;
        readonly v: LinearPart;
        /** Elements of each head that are rotated, from its start. */
        readonly rotary: number;
        readonly head_dim: number;
        /** The rotated queries. */
        readonly out: Value;
      };
}

export interface FusedAttention extends Placed {
  readonly kind: "attention";
  readonly queries: Value;
  readonly out: Value;
  readonly scale: number;
  readonly window: number;
  readonly pattern: Site;
  /** Stages of single elements at attn_z. */
  readonly stages: readonly StageUse[];
}

/** Outputs of single heads, kept as sources of the edge mask. */
export interface FusedHeadSources extends Placed {
  readonly kind: "head_sources";
  /** attn_z. */
  readonly input: Value;
  readonly weight: MatrixRef;
  readonly bias: VectorRef | undefined;
  readonly heads: readonly { readonly head: number; readonly source: number }[];
}

export type FusedOp = FusedEmbed | FusedNorm | FusedLinear | FusedAttention | FusedHeadSources;

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
  switch (op.kind) {
    case "embed":
      return [];
    case "norm":
      return op.edit?.delta ? [op.input, op.edit.delta.value] : [op.input];
    case "attention":
      return [op.queries];
    case "head_sources":
      return [op.input];
    case "linear":
      return op.epilogue.kind === "residual" ? [op.input, op.epilogue.residual] : [op.input];
  }
}

/** The values that an operation makes. */
export function writtenBy(op: FusedOp): readonly Value[] {
  switch (op.kind) {
    case "head_sources":
      return [];
    case "linear":
      return [op.epilogue.out];
    case "norm":
      return op.edit?.stream ? [op.out, op.edit.stream] : [op.out];
    default:
      return [op.out];
  }
}
