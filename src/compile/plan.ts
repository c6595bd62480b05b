/** The plan: which kernels run in which order on which buffers. Pure data; printed by `sluice explain`. */

import {
  type ArgValues,
  inOrder,
  type Kernel,
  type KernelFamily,
  kernelFor,
  type RowRange,
} from "../kernels/kernel.ts";
import type { CacheDtype } from "../kernels/linear/epilogue.ts";
import type { Operation } from "../kernels/variants.ts";
import type { ProgramLayout } from "./programs.ts";
import type { StageImage } from "./stage-image.ts";

/** What a binding of a dispatch is connected to; the executor knows the buffer of each. */
export type BufferRole =
  /** One part of a weight matrix, by its index in the weight layout. */
  | { readonly role: "weights"; readonly part: number }
  /** Gains and biases. */
  | { readonly role: "params" }
  /** A shared activation buffer, from a byte offset on (default 0). */
  | { readonly role: "activation"; readonly index: number; readonly offset?: number }
  | { readonly role: "keys" | "values"; readonly layer: number }
  /** Token ids `[sequences, capacity + 1]`: given ones, and those that sampling adds. */
  | { readonly role: "tokens" }
  | { readonly role: "slots" }
  | { readonly role: "rope" }
  | { readonly role: "capture" }
  /** Partial sums, from one kernel to the next. */
  | { readonly role: "partials" }
  /** Which rows of the step are whose, and what is pooled of them: see `Plan.pooled`. */
  | { readonly role: "segments" }
  | { readonly role: "pooled" }
  /** Logits of the step, wherever the plan that ran put them. */
  | { readonly role: "logits" }
  /** The stage table, and the source table of an edge mask. */
  | { readonly role: "stages" }
  | { readonly role: "sources" }
  /** Where stages act: see scope-buffer.ts. */
  | { readonly role: "scopes" }
  /** Sampling settings and seen-token bits, per sequence. */
  | { readonly role: "settings" }
  | { readonly role: "seen" }
  /** Addends and counts of draws per sequence and token; which tokens are allowed; records of log probabilities. */
  | { readonly role: "adjustments" | "allowed" | "logprobs" }
  /** Cross-entropy per out row. */
  | { readonly role: "losses" }
  /** The first norm that met a row beyond float32, per sequence: shaders/norm/overflow.wgsl. */
  | { readonly role: "overflow" };

/** A text that is the same for roles of the same buffer, whatever its offset. */
export function roleKey(role: BufferRole): string {
  if (role.role === "weights") return `weights ${role.part}`;
  if (role.role === "activation") return `activation ${role.index}`;
  if (role.role === "keys" || role.role === "values") return `${role.role} ${role.layer}`;
  return role.role;
}

export interface Dispatch {
  /** Its place in the model: `blocks.3.attn.qkv`. */
  readonly label: string;
  readonly layer: number | undefined;
  /** Which rows of the step it works on. */
  readonly rows: "rows" | "outs";
  /** Kernels that may serve it, each with its merge if it has one. */
  readonly candidates: readonly RowRange[];
  /** What the tuner may find other candidates for. */
  readonly operation?: Operation;
  readonly args: ArgValues;
  /** Stages that this dispatch carries, for people: `aura at mlp_pre`. */
  readonly stages?: readonly string[];
  readonly bind: Readonly<Record<string, BufferRole>>;
  /** The site of the stream that it norms. */
  readonly norms?: string;
  /** Reads the cache: its cost grows with the keys in sight. */
  readonly readsCache: boolean;
  /** Belongs to steps that split attention over the keys (true), or to all others (false); absent: to every step. */
  readonly split?: boolean;
}

/** Steps of at most this many rows, of which one sees this many keys or more, split attention over the keys. */
export interface SplitRule {
  readonly maxRows: number;
  readonly minKeys: number;
}

/** Where a captured site's rows lie in the capture buffer after a step. */
export interface CaptureRegion {
  readonly site: string;
  /** Float32 index of the region. */
  readonly offset: number;
  readonly width: number;
  /** Floats from one row to the next. */
  readonly stride: number;
  readonly rows: "rows" | "outs";
  /** Columns are stored in engine order: column j of the region is column `order[j]` of the site. */
  readonly order?: readonly number[];
  /** `attn_pattern`: `[heads, rows, stride]`, of which each row's visible keys count. */
  readonly heads?: number;
}

/** Where a pooled site lies in each sequence's row of the pooled buffer. */
export interface PooledRegion extends Pick<CaptureRegion, "site" | "width" | "order"> {
  /** Float32 index in the row. */
  readonly offset: number;
}

/** What a plan that pools leaves of its captures. */
export interface PooledLayout {
  /** In the order in which the sites were given. */
  readonly regions: readonly PooledRegion[];
  /** Floats from one sequence's row to the next. */
  readonly stride: number;
}

/**
 * What follows the logits of a step. `adjusted`: as `sample`, also for sequences with addends, counts or masks; `scored`:
 * as `adjusted`, and log probabilities are recorded.
 */
export type Tail = "none" | "greedy" | "sample" | "adjusted" | "scored" | "loss";

export interface Plan {
  readonly family: KernelFamily;
  readonly reference: boolean;
  /** MAX_ROWS of the step uniform: part of the shaders' text. */
  readonly maxRows: number;
  /** Most rows and out rows of one step; buffers are this large. */
  readonly chunkRows: number;
  readonly chunkOuts: number;
  readonly sequences: number;
  /** Positions per sequence. */
  readonly capacity: number;
  /** Cache rows of each layer, shared by all sequences. */
  readonly slots: number;
  /** Embedding and blocks. */
  readonly body: readonly Dispatch[];
  readonly finalNorm: readonly Dispatch[];
  readonly head: readonly Dispatch[];
  readonly tails: Readonly<Record<Exclude<Tail, "none">, readonly Dispatch[]>>;
  /** Bytes of each shared activation buffer. */
  readonly activations: readonly number[];
  /** Bytes of the largest partial sums of a step; 0 if no kernel leaves any. */
  readonly partialBytes: number;
  /** Activation buffer that holds the logits, and floats from one row of it to the next; absent if the plan pools. */
  readonly logits?: { readonly index: number; readonly stride: number };
  /** Absent if no step splits attention. */
  readonly split?: SplitRule;
  /** What stages need at run time; absent without any. */
  readonly stages?: {
    /** What all sequences go through, or the layout of the programs of which each has one. */
    readonly image?: StageImage;
    readonly programs?: ProgramLayout;
    /** Bytes of the stage table; programs make it grow. */
    readonly byteLength: number;
    readonly sourceBytes: number;
  };
  readonly captures: readonly CaptureRegion[];
  readonly captureBytes: number;
  /**
   * Captures are pooled over each sequence's rows of a step, given in `segments`: an entry a sequence for rows of the
   * step, then an entry a sequence for its out rows. Such a plan ends with its last capture: it has no head.
   */
  readonly pooled?: PooledLayout;
  /** u32 words of seen-token bits per sequence. */
  readonly seenWords: number;
  /** How keys and values are cached. */
  readonly cache: CacheDtype;
  /** Bytes of one slot of one layer's K (or V) buffer. */
  readonly cacheRowBytes: number;
  readonly layers: number;
}

/**
 * Whether a dispatch belongs to a step.
 * @param keys keys in sight of the row that sees the most
 */
export function belongs({ split }: Dispatch, plan: Plan, rows: number, keys: number): boolean {
  return split === undefined || split === isSplit(plan, rows, keys);
}

/** Whether a step splits attention over the keys. */
export function isSplit({ split }: Plan, rows: number, keys: number): boolean {
  return split !== undefined && rows <= split.maxRows && keys >= split.minKeys;
}

/** Where a plan's logits lie. */
export function logitsOf({ logits }: Plan): NonNullable<Plan["logits"]> {
  if (!logits) throw new Error("A plan that pools ends before its logits");
  return logits;
}

/** The kernels that serve that many rows of a dispatch, in order. */
export function kernelsOf({ candidates }: Pick<Dispatch, "candidates">, rows: number): readonly Kernel[] {
  return inOrder(kernelFor(candidates, rows));
}

/** Every kernel that some number of rows of a dispatch takes. */
export function kernelsIn({
  candidates,
}: {
  readonly candidates: readonly Pick<RowRange, "kernel">[];
}): readonly Kernel[] {
  return candidates.flatMap(({ kernel }) => inOrder(kernel));
}

/** Every dispatch a plan can encode. */
export function allDispatches(plan: Plan): readonly Dispatch[] {
  return [
    ...plan.body,
    ...plan.finalNorm,
    ...plan.head,
    ...plan.tails.greedy,
    ...plan.tails.sample,
    ...plan.tails.adjusted,
    ...plan.tails.scored,
    ...plan.tails.loss,
  ];
}
