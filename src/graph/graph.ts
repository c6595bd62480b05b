/**
 * The graph: what a model computes, as fine nodes over values, before anything is fused or placed.
 * Model builders emit it, interventions rewrite it, `src/compile` lowers it. It knows no GPU.
 */
import type { ActivationName, ModelConfig } from "../models/config.ts";

/** An activation: packed rows of `width` float32. */
export interface Value {
  readonly id: number;
  readonly width: number;
  /** `rows`: one row per token of the step; `outs`: one per token whose logits are wanted. */
  readonly rows: "rows" | "outs";
  /**
   * The names this value is known by, e.g. `mlp_pre.3`, in the order in which stages at them would run:
   * `resid_post.l` before `resid_pre.l+1`. Empty for values that are no site.
   */
  readonly sites: readonly string[];
}

/** A weight matrix as stored: outputs [first, first + outputs) of a tensor. */
export interface MatrixRef {
  readonly tensor: string;
  /** False: stored `[outputs, inputs]` (torch Linear). True: `[inputs, outputs]` (GPT-2's Conv1D). */
  readonly transposed: boolean;
  readonly first: number;
  readonly outputs: number;
  readonly inputs: number;
  /** Outputs of the whole tensor. */
  readonly tensorOutputs: number;
}

/** Elements [first, first + length) of a one-dimensional tensor. */
export interface VectorRef {
  readonly tensor: string;
  readonly first: number;
  readonly length: number;
  readonly tensorLength: number;
}

export type Node =
  /** out[t] = tokenTable[token(t)] + positionTable[position(t)] */
  | { readonly op: "embed"; readonly out: Value; readonly tokens: MatrixRef; readonly positions?: MatrixRef }
  | {
      readonly op: "norm";
      readonly kind: "layer" | "rms";
      readonly input: Value;
      readonly out: Value;
      readonly gain: VectorRef;
      readonly bias?: VectorRef;
      readonly eps: number;
    }
  /** out = input · Wᵀ + bias */
  | {
      readonly op: "linear";
      readonly input: Value;
      readonly out: Value;
      readonly weight: MatrixRef;
      readonly bias?: VectorRef;
    }
  /** Rotates the pairs (i, i + head_dim/2) of every head by the row's position. */
  | { readonly op: "rope"; readonly input: Value; readonly out: Value; readonly head_dim: number }
  /** Appends this step's keys and values to the layer's cache. */
  | { readonly op: "cache"; readonly layer: number; readonly keys: Value; readonly values: Value }
  | {
      readonly op: "attention";
      readonly layer: number;
      readonly queries: Value;
      readonly out: Value;
      readonly scale: number;
      /** Keys visible to a query, itself included; 0: all. */
      readonly window: number;
      /** Site name under which the softmax weights can be captured. */
      readonly pattern: string;
    }
  | { readonly op: "activation"; readonly kind: ActivationName; readonly input: Value; readonly out: Value }
  | { readonly op: "multiply"; readonly left: Value; readonly right: Value; readonly out: Value }
  | { readonly op: "add"; readonly left: Value; readonly right: Value; readonly out: Value }
  /** Keeps the rows whose logits are wanted. */
  | { readonly op: "select_outs"; readonly input: Value; readonly out: Value };

export interface Graph {
  readonly config: ModelConfig;
  readonly nodes: readonly Node[];
  /** Logits, `outs` × vocab_size. */
  readonly logits: Value;
}

/** The values a node reads. */
export function inputsOf(node: Node): readonly Value[] {
  switch (node.op) {
    case "embed":
      return [];
    case "cache":
      return [node.keys, node.values];
    case "attention":
      return [node.queries];
    case "multiply":
    case "add":
      return [node.left, node.right];
    default:
      return [node.input];
  }
}

/** The value a node makes; a cache append makes none. */
export function outputOf(node: Node): Value | undefined {
  return node.op === "cache" ? undefined : node.out;
}
