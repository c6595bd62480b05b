/** Options of a model's functions and methods. The rules that check them are in doors.ts. */
import type { Table, TokenIds } from "../arguments/lists.ts";
import type { EnvelopeOptions } from "../compile/envelope.ts";
import type { ModelSource } from "../formats/open-source.ts";
import type { HubChoice } from "../hub/open-options.ts";
import type { PoolReduction } from "../kernels/fit/pool.ts";
import type { KernelFamily } from "../kernels/kernel.ts";
import type { QuantFormat } from "../model-config.ts";
import type { StageChange } from "../runtime/live-stages.ts";
import type { ProgressListener } from "../runtime/progress.ts";
import type { SamplingOptions } from "../runtime/sampling.ts";
import type { TuningStore } from "../tune/remembered.ts";
import type { GeneratedToken } from "./generation.ts";
import type { ResponseFormat } from "./response-format.ts";

/** An adapter, for {@link LoadOptions.lora}. */
export interface LoraChoice {
  /** The adapter's folder, address or files: adapter_config.json and adapter_model.safetensors. */
  readonly source: ModelSource;
  /** Multiplies what the adapter adds; default 1. */
  readonly scale?: number;
}

/** The plans that a model can run on. */
export type PlanName = "default" | "reference" | "f16-cache";

/** Options of {@link load}. */
export interface LoadOptions {
  /** In Node: `auto`, part of an adapter's name, `swiftshader`, or a Vulkan driver's JSON file. */
  readonly adapter?: string;
  /** A device to use instead of opening one. It stays the caller's: disposing of the model does not destroy it. */
  readonly device?: GPUDevice;
  /** `adapter` (default): the adapter's highest limits; `default`: WebGPU's guaranteed ones. */
  readonly limits?: "default" | "adapter";
  /**
   * `reference`: one summation order per matrix, so that a token's bits depend only on its context. `f16-cache`: keys and
   * values are cached as float16, in half the memory; what float16 does not hold ends in `non_finite`.
   */
  readonly plan?: PlanName;
  /** Overrides the choice of kernels for this device, both the guess and the tuning. */
  readonly family?: KernelFamily;
  /**
   * Which kernels serve: `false` (default): those that the engine guesses; `remembered`: those chosen by earlier
   * measurements on this device, if any; `true`: the same, and if there are none, measure now, for at most ten
   * seconds, unless the model is tiny. The reference plan is never tuned.
   */
  readonly tune?: boolean | "remembered";
  /** Keep linear weights and the token embedding in blocks of 32 with float16 scales, about 0.27 or 0.14 of float32. */
  readonly quantize?: QuantFormat;
  /**
   * LoRA adapters in PEFT's format, merged into the float weights while they are read, each times its scale. Adapted
   * matrices are kept in float32, unless they are quantised.
   */
  readonly lora?: string | readonly (ModelSource | LoraChoice)[];
  /** For models of the hub, such as `org/name`: its address, and a token. */
  readonly hub?: HubChoice;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
  /** Called from the first request on: with files answered for, bytes fetched and uploaded, and operations tuned. */
  readonly onProgress?: ProgressListener;
  /** Called with notices for the user, for example that a software GPU is in use. */
  readonly onNotice?: (message: string) => void;
}

/** Options of {@link Model.session}. */
export interface SessionOptions {
  /** Number of sequences; default 1. */
  readonly sequences?: number;
  /** Positions per sequence; default: the model's, at most 2048. */
  readonly context?: number;
  /** Positions that all sequences together can hold; default: sequences × context. */
  readonly slots?: number;
  /** Sites to capture at every step. */
  readonly captures?: readonly string[];
  /** Pools captures over each sequence's rows of a step; nothing after the last capture runs. */
  readonly pooling?: PoolReduction;
  /** Set this if stages will be changed: the plan without stages is then prepared too. Default: false. */
  readonly live?: boolean;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link Model.generate}: length and ends, sampling, context. */
export interface GenerateOptions extends Partial<SamplingOptions> {
  /** Default 128. */
  readonly maxNewTokens?: number;
  /**
   * Continuations per prompt, in one batch; default 1. Those of a prompt are adjacent among the sequences and
   * results. More than one needs a temperature above 0.
   */
  readonly samples?: number;
  /** One seed per continuation, instead of `seed`, `seed + 1`, … */
  readonly seeds?: readonly number[];
  /** Texts that end generation; they are removed from the result. */
  readonly stop?: readonly string[];
  /** Ids that end generation, in addition to the model's own. */
  readonly stopTokens?: readonly number[];
  /** Positions the cache holds. Default: what prompt and new tokens need, at most the model's context. */
  readonly context?: number;
  /**
   * What happens if prompt and new tokens do not fit into the context; all but the last new token need a place in it.
   * - `stop` (default): a prompt that does not fit alone is refused; new tokens end where the context ends.
   * - `error`: refused before anything runs, unless all `maxNewTokens` fit.
   * - `truncate`: the prompt loses its first tokens until all fit, but keeps its last one. Without `maxNewTokens`,
   *   at most half the context is freed for new tokens.
   */
  readonly overflow?: Overflow;
  /** P, for stages that act on the prompt or after it: its positions are [0, P). Default: the length of the prompt. */
  readonly promptLength?: number;
  /**
   * Reports each new token's log probability: of the model's own distribution, before penalties, biases, temperature and
   * `responseFormat`. Default: only with `topLogprobs`.
   */
  readonly logprobs?: boolean;
  /** Also reports this number of most likely tokens at each place, at most 20; default 0. */
  readonly topLogprobs?: number;
  /** What the text must be; a text that ends early (`length`, `context`) is the beginning of one. Needs a tokenizer. */
  readonly responseFormat?: ResponseFormat;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
}

/** What happens if a prompt does not fit into the context. */
export type Overflow = "stop" | "error" | "truncate";

/** The options of `model.generate`; the context is the session's. */
export interface SessionGenerateOptions extends Omit<GenerateOptions, "context"> {
  /** Which sequence to continue; default 0. Further samples continue the sequences after it; a batch continues the first ones. */
  readonly sequence?: number;
}

/** Tells of the tokens of several prompts as they come. */
export interface TokenListener {
  /** Called with each new token; `sequence` says whose it is. What it throws ends the call. */
  readonly onToken?: (token: GeneratedToken) => void;
}

/** Options of {@link Model.generateBatch}. */
export interface GenerateBatchOptions extends GenerateOptions, TokenListener {}

/** Options of {@link Session.generateBatch}. */
export interface SessionBatchOptions extends Omit<SessionGenerateOptions, "sequence">, TokenListener {}

/** Options of {@link Model.batch}. */
export interface BatchOptions {
  /** Requests that run at once; default 16. */
  readonly sequences?: number;
  /** Positions per sequence; default: the model's, at most 2048. */
  readonly context?: number;
  /**
   * Rows of a step that prompts may take, default 64: a prompt of any length delays each token of the other requests by at
   * most that many rows.
   */
  readonly prefillRows?: number;
  /**
   * Which bundles may be registered while it runs: what the plan is compiled for. Default: what the model's own bundles
   * need; none for a model without.
   */
  readonly envelope?: EnvelopeOptions;
  /** Requests that may wait for a sequence; further ones fail with `busy`. Default: any number. */
  readonly maxQueue?: number;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal | undefined;
}

/** Options of {@link Batch.generate}; the context is the batch's. */
export interface BatchGenerateOptions extends Omit<GenerateOptions, "context"> {
  /**
   * The bundles that act on this request, in order, and nothing else. Default: the model's own, as {@link Model.generate}
   * has them.
   */
  readonly interventions?: readonly BatchIntervention[];
}

/** A bundle of a running batch that acts on a request. */
export interface BatchIntervention {
  /** Its name: {@link Batch.addBundle}. */
  readonly bundle: string;
  /** New values for its stages by id; what is left out is the bundle's own. */
  readonly stages?: Table<Omit<StageChange, "edges">>;
  /** New values for edges that its edge mask lists: [source, destination, m], m from 0 (cut) to 1 (kept). */
  readonly edges?: NonNullable<StageChange["edges"]>;
}

/** Both sides draw with one seed; otherwise their continuations would differ by chance. */
export interface CompareOptions
  extends Omit<
    GenerateOptions,
    "context" | "overflow" | "seeds" | "samples" | "logprobs" | "topLogprobs" | "responseFormat"
  > {
  /** Maximum number of moved tokens to report; default 10. */
  readonly most?: number;
}

/** Options of {@link Model.compareTokens}. */
export interface CompareTokensOptions extends RunOptions {
  /** How many of the likeliest tokens to report in each place; default 5. */
  readonly top?: number;
  /** New values of stages by id, as `session.set` takes them: what sliders show, instead of the model's own values. */
  readonly changes?: Table<StageChange>;
}

/** Options of {@link Model.lens}. */
export interface LensOptions extends RunOptions {
  /** Blocks after which to look; default: all, and the embedding. */
  readonly layers?: readonly number[];
  /** How many of the likeliest tokens to report in each cell; default 3. */
  readonly top?: number;
  /** Tokens whose probability and rank to report in every cell. */
  readonly asked?: TokenIds;
}

/** Options of one forward pass. */
export interface RunOptions {
  /** P, for stages with positions; default: all tokens. */
  readonly promptLength?: number;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
}

/** Options of {@link Model.logits}. */
export interface LogitsOptions extends RunOptions {
  /** Only the last position. */
  readonly last?: boolean;
}

/** Options of {@link Model.perplexity}. */
export interface PerplexityOptions {
  /**
   * For documents longer than the model's context: tokens that the window moves. Every token is predicted once, with at
   * least context - stride tokens before it. Default: half the context.
   */
  readonly stride?: number;
  /** P of every window, at most its length, for stages that act on the prompt or after it; default: all tokens. */
  readonly promptLength?: number;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
  /** Called after every step with the number of tokens predicted so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** A part of what is explained. */
export type ExplainPart = "graph" | "plan" | "buffers" | "kernels";

/** Options of {@link Model.explain}. */
export interface ExplainOptions {
  /** Parts to print; default: all. */
  readonly parts?: readonly ExplainPart[];
  /** Only the kernel of this name; if there is none, those whose names contain it. */
  readonly kernel?: string;
}

/** Options of functions that read a model's files alone. */
export interface FileOptions {
  /** As for {@link load}. */
  readonly hub?: HubChoice;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
}

/** Options of reading files for their digests. */
export interface DigestOptions extends FileOptions {
  /** Bytes read so far, and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Options of {@link tuneModel}. */
export interface TuneModelOptions {
  /** Maximum time in seconds; default 60. */
  readonly seconds?: number;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
  /** Called with operations decided so far, and in all. */
  onProgress?(done: number, total: number): void;
  /** Where choices are kept; default: a file in the user's cache folder, in pages IndexedDB. */
  readonly store?: TuningStore;
}
