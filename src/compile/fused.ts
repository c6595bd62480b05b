/** What fusion makes of a graph: one entry per dispatch of the plan. */
import type { MatrixRef, Value, VectorRef } from "../graph/graph.ts";
import type { ActivationName } from "../models/config.ts";

/** A part of a fused linear operation: a matrix and its bias, with the value it produces. */
export interface LinearPart {
  readonly weight: MatrixRef;
  readonly bias?: VectorRef;
  readonly out: Value;
}

interface Labelled {
  /** Where in the model this stands, e.g. `blocks.3.attn.qkv`. */
  readonly label: string;
  /** Block number, or undefined before the first and after the last block. */
  readonly layer: number | undefined;
  /** Site values this operation owns, by the name of the tap in its kernel. */
  readonly taps: ReadonlyMap<string, TappedSite>;
}

/** A named site inside a fused operation. */
export interface TappedSite {
  readonly site: string;
  readonly width: number;
}

export interface FusedEmbed extends Labelled {
  readonly kind: "embed";
  readonly tokens: MatrixRef;
  readonly positions: MatrixRef | undefined;
  readonly out: Value;
}

export interface FusedNorm extends Labelled {
  readonly kind: "norm";
  readonly norm: "layer" | "rms";
  readonly input: Value;
  readonly out: Value;
  /** The rows are gathered through the step's out rows. */
  readonly selectsOuts: boolean;
  readonly gain: VectorRef;
  readonly bias: VectorRef | undefined;
  readonly eps: number;
}

/** out = epilogue(input · Wᵀ + bias). */
export interface FusedLinear extends Labelled {
  readonly kind: "linear";
  readonly input: Value;
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
    /** Queries to an activation, keys and values to the layer's cache, the first two rotated where `rope`. */
    | {
        readonly kind: "qkv";
        readonly q: LinearPart;
        readonly k: LinearPart;
        readonly v: LinearPart;
        readonly rope: boolean;
        readonly head_dim: number;
        /** The rotated queries. */
        readonly out: Value;
      };
}

export interface FusedAttention extends Labelled {
  readonly kind: "attention";
  readonly queries: Value;
  readonly out: Value;
  readonly scale: number;
  readonly window: number;
  readonly pattern: string;
}

export type FusedOp = FusedEmbed | FusedNorm | FusedLinear | FusedAttention;
