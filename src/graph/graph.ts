/**
 * The graph: what a model computes, as small nodes over values, before fusion and placement.
 * Model builders emit it, interventions rewrite it, `src/compile` lowers it. It knows no GPU.
 */
import type { ActivationName, ModelConfig } from "../model-config.ts";
import type { Site } from "./site.ts";

/** An activation: packed rows of `width` float32. */
export interface Value {
  readonly id: number;
  readonly width: number;
  /** `rows`: one row per token of the step; `outs`: one per token whose logits are wanted. */
  readonly rows: "rows" | "outs";
  /** The sites that this value is, in the order in which stages at them run: `resid_post.l` before `resid_pre.l+1`. */
  readonly sites: readonly Site[];
  /** Number of versions of each row, one after another; absent: one. See `edge_mix`. */
  readonly variants?: number;
}

/** What a stage needs of the value that it edits: each element alone, or the whole row. */
export type StageForm = "elements" | "row";

/** A stage of an intervention at one layer. */
export interface StageUse {
  /** Its place in the composition. */
  readonly stage: number;
  readonly id: string;
  /** Its kind, for display. */
  readonly kind: string;
  readonly layer: number;
}

/** What a destination of an edge mask reads instead of the stream. */
export interface EdgeVariant {
  /** `blocks.3.head.1`. */
  readonly name: string;
  /** Canonical index of the destination. */
  readonly destination: number;
  /** `cut` subtracts masked sources from the stream; `kept` adds up what is left of all. */
  readonly form: "cut" | "kept";
  /** Sources by canonical index, with the number of their edge in the stage; null: an unmasked source of the kept form. */
  readonly terms: readonly { readonly source: number; readonly edge: number | null }[];
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

/**
 * What a model does, a record per operation. The values that a node reads, `out` that it makes, its matrices and vectors are
 * fields of their own: by them every phase finds what it needs of an operation that it does not know.
 */
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
      /** If the input has variants: the one that each group of `outputs / reads.length` outputs reads. */
      readonly reads?: readonly number[];
    }
  /** Rotates the pairs of the first `rotary` elements of each head by the row's position. */
  | {
      readonly op: "rope";
      readonly input: Value;
      readonly out: Value;
      readonly head_dim: number;
      readonly rotary: number;
    }
  /** Appends this step's keys and values to the layer's cache. */
  | { readonly op: "cache"; readonly layer: number; readonly keys: Value; readonly values: Value }
  | {
      readonly op: "attention";
      readonly layer: number;
      readonly queries: Value;
      readonly out: Value;
      readonly scale: number;
      /** Keys visible to a query, including itself; 0: all. */
      readonly window: number;
      /** The site at which the softmax weights can be captured. */
      readonly pattern: Site;
    }
  | { readonly op: "activation"; readonly kind: ActivationName; readonly input: Value; readonly out: Value }
  | { readonly op: "multiply"; readonly left: Value; readonly right: Value; readonly out: Value }
  | { readonly op: "add"; readonly left: Value; readonly right: Value; readonly out: Value }
  /** Keeps the rows whose logits are wanted. */
  | { readonly op: "select_outs"; readonly input: Value; readonly out: Value }
  /** A stage at a site. `tracked`: its change belongs to no source, and some destination reads such changes. */
  | {
      readonly op: "stage";
      readonly form: StageForm;
      readonly use: StageUse;
      readonly input: Value;
      readonly out: Value;
      readonly tracked: boolean;
    }
  /** Keeps a value in the source table: what a source of the edge mask wrote, by its canonical index. */
  | { readonly op: "source"; readonly source: number; readonly input: Value }
  /** Keeps z_h · W_O[h] (+ b_O/H) of some heads in the source table. */
  | {
      readonly op: "head_sources";
      readonly layer: number;
      readonly input: Value;
      readonly weight: MatrixRef;
      /** Absent if the bias belongs to no head. */
      readonly bias?: VectorRef;
      readonly heads: readonly { readonly head: number; readonly source: number }[];
    }
  /** The uncorrected stream, followed by the corrected input of each destination. */
  | {
      readonly op: "edge_mix";
      readonly input: Value;
      readonly out: Value;
      readonly variants: readonly EdgeVariant[];
    };

export type NodeOf<Op extends Node["op"]> = Extract<Node, { readonly op: Op }>;

export interface Graph {
  readonly config: ModelConfig;
  readonly nodes: readonly Node[];
  /** Logits, `outs` × vocab_size. */
  readonly logits: Value;
}

/** A node that makes a value, before it has one. */
export type NewNode = Unmade<Extract<Node, { readonly out: Value }>>;
type Unmade<Each> = Each extends Each ? Omit<Each, "out"> : never;

/** The values a node reads: its fields that are values, except `out`. */
export function inputsOf(node: Node | NewNode): readonly Value[] {
  return Object.entries(node).flatMap(([name, field]) => (name !== "out" && isValue(field) ? [field] : []));
}

/** The value a node makes; nodes that only store in a table make none. */
export function outputOf(node: Node): Value | undefined {
  return "out" in node ? node.out : undefined;
}

/** The node with other values in place of those that it reads and makes. */
export function withValues(node: Node, read: (value: Value) => Value, made: (value: Value) => Value): Node {
  const fields = Object.entries(node).map(([name, field]) => {
    return [name, isValue(field) ? (name === "out" ? made(field) : read(field)) : field] as const;
  });
  return Object.fromEntries(fields) as unknown as Node;
}

/** The stored matrices and vectors that a node uses. */
export function weightsOf(node: Node): {
  readonly matrices: readonly MatrixRef[];
  readonly vectors: readonly VectorRef[];
} {
  const fields: readonly unknown[] = Object.values(node);
  return { matrices: fields.filter(isMatrix), vectors: fields.filter(isVector) };
}

function isValue(field: unknown): field is Value {
  return has(field, "sites");
}

function isMatrix(field: unknown): field is MatrixRef {
  return has(field, "tensorOutputs");
}

function isVector(field: unknown): field is VectorRef {
  return has(field, "tensorLength");
}

function has(field: unknown, name: string): boolean {
  return typeof field === "object" && field !== null && name in field;
}

/** Whether a matrix stays as it is stored if weights are quantised: few bytes, and every position's row counts. */
export function isKeptAsStored(node: Node, matrix: MatrixRef): boolean {
  return node.op === "embed" && matrix === node.positions;
}

/** Names of the tensors that a graph is made of. */
export function tensorsOf({ nodes }: Pick<Graph, "nodes">): ReadonlySet<string> {
  return new Set(
    nodes.map(weightsOf).flatMap(({ matrices, vectors }) => [...matrices, ...vectors].map(({ tensor }) => tensor)),
  );
}
