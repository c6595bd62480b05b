/** A loaded model: what callers hold. Weights stay on the GPU; every call opens the session it needs. */

import type { FusedOp } from "../compile/fused.ts";
import { lower } from "../compile/lower.ts";
import type { Plan } from "../compile/plan.ts";
import type { WeightLayout } from "../compile/weight-layout.ts";
import { SluiceError, throwIfAborted } from "../errors.ts";
import type { Gpu } from "../gpu/open.ts";
import { PipelineCache } from "../gpu/pipelines.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import type { Graph } from "../graph/graph.ts";
import type { KernelFamily } from "../kernels/kernel.ts";
import type { ModelConfig } from "../models/config.ts";
import type { GenerationConfig } from "../models/read-config.ts";
import { ropeTable } from "../models/rope.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { Executor } from "./executor.ts";
import { explainPlan } from "./explain.ts";
import { type GenerateOptions, type GenerateResult, Generation } from "./generation.ts";
import { captureSites, computeLogits, type Matrix } from "./inspect.ts";
import { measurePerplexity, type Perplexity, type PerplexityOptions } from "./perplexity.ts";
import type { ProgressListener } from "./progress.ts";
import { encodePrompt, type PromptInput, type RequestBounds, settleRequest } from "./request.ts";
import { Sequences } from "./sequences.ts";
import { Session } from "./session.ts";
import type { GpuWeights } from "./weights.ts";

/** Positions that a session's cache holds when nobody says; models made for fewer get fewer. */
const DEFAULT_CONTEXT = 2048;

export interface SessionOptions {
  /** Sequences side by side; default 1. */
  readonly sequences?: number;
  /** Positions per sequence; default: the model's, at most 2048. */
  readonly context?: number;
  /** Positions that all sequences together can hold; default: sequences × context. */
  readonly slots?: number;
  /** Sites to capture at every step. */
  readonly captures?: readonly string[];
  readonly signal?: AbortSignal | undefined;
}

/** What loading hands to a model. */
export interface ModelParts {
  readonly config: ModelConfig;
  readonly generationConfig: GenerationConfig;
  readonly graph: Graph;
  readonly ops: readonly FusedOp[];
  readonly layout: WeightLayout;
  readonly gpu: Gpu;
  readonly family: KernelFamily;
  readonly reference: boolean;
  readonly weights: GpuWeights;
  readonly tokenizer: Tokenizer | null;
  readonly onProgress: ProgressListener;
}

export class Model {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer | null;
  readonly #parts: ModelParts;
  readonly #pipelines: PipelineCache;
  #disposed = false;

  constructor(parts: ModelParts) {
    this.config = parts.config;
    this.tokenizer = parts.tokenizer;
    this.#parts = parts;
    this.#pipelines = new PipelineCache(parts.gpu);
  }

  /** The device this model runs on. */
  get device(): DeviceProfile {
    return this.#parts.gpu.profile;
  }

  /** GPU bytes in use: weights and open sessions. */
  get gpuBytes(): number {
    return this.#parts.gpu.bytesInUse;
  }

  /**
   * Ids of a prompt: text through the tokenizer, with the special tokens it adds; ids as they are.
   * @throws SluiceError `bad_tokens` for text without a tokenizer, `usage` for an empty prompt
   */
  encode(prompt: PromptInput): readonly number[] {
    return encodePrompt(this.tokenizer, prompt);
  }

  /** Continues a prompt. Nothing runs until the result is iterated or awaited. */
  generate(prompt: PromptInput, options: GenerateOptions = {}): Generation {
    return this.#generation([prompt], options);
  }

  /** Continues several prompts side by side; results in their order. */
  async generateBatch(
    prompts: readonly PromptInput[],
    options: GenerateOptions = {},
  ): Promise<readonly GenerateResult[]> {
    if (prompts.length === 0) return [];
    return this.#generation(prompts, options).results();
  }

  /**
   * Opens a session: its cache lasts from call to call, so that what a prompt shares with the last one is not computed
   * again. The caller disposes of it.
   * @throws SluiceError `context_overflow` for a context beyond the model's, `device_limit`
   */
  async session(options: Omit<SessionOptions, "captures"> = {}): Promise<Session> {
    const cached = await this.openSequences(options);
    return new Session(cached, this.#bounds(cached.plan.capacity));
  }

  /** Logits at every position of `tokens`, or at the last alone: `[T, vocab_size]` or `[1, vocab_size]`. */
  async logits(
    tokens: readonly number[],
    options: { readonly last?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<Matrix> {
    return this.#withSequences({ context: this.#contextFor(tokens.length), signal: options.signal }, (sequences) =>
      computeLogits(sequences, this.encode(tokens), this.config.vocab_size, options),
    );
  }

  /** Values at named sites for every position of `tokens`: `[T, width]`; `attn_pattern.l`: `[heads, T, T]`. */
  async capture(
    tokens: readonly number[],
    sites: readonly string[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<ReadonlyMap<string, Matrix>> {
    if (sites.length === 0) throw new SluiceError("usage", "No site to capture was named");
    return this.#withSequences(
      { context: this.#contextFor(tokens.length), captures: sites, signal: options.signal },
      (sequences) => captureSites(sequences, this.encode(tokens), options),
    );
  }

  /** Perplexity over documents of token ids: the exponential of the mean loss over all predicted tokens. */
  async perplexity(documents: readonly (readonly number[])[], options: PerplexityOptions = {}): Promise<Perplexity> {
    return measurePerplexity((session) => this.openSequences(session), this.config, documents, options);
  }

  /** The graph, the plan, its buffers and the linked WGSL of every kernel, as text. */
  explain(options: SessionOptions = {}): Promise<string> {
    return explainPlan(this.#parts.graph, this.plan(options), this.#parts.layout);
  }

  /** The plan of a session. */
  plan({ sequences = 1, context, slots, captures = [] }: SessionOptions = {}): Plan {
    const { graph, ops, layout, family, reference, gpu } = this.#parts;
    return lower(graph, ops, layout, {
      family,
      reference,
      sequences,
      capacity: this.#contextFor(context ?? Math.min(DEFAULT_CONTEXT, this.config.max_position_embeddings)),
      captures,
      ...(slots !== undefined && { slots }),
      maxStorageBufferBindingSize: gpu.profile.limits.maxStorageBufferBindingSize,
    });
  }

  /** Makes the buffers of sequences; kernels compile when a step first needs them. The caller disposes of them. */
  async openSequences(options: SessionOptions = {}): Promise<Sequences> {
    if (this.#disposed) throw new SluiceError("usage", "This model has been disposed of; load it again");
    const { gpu, weights, onProgress } = this.#parts;
    throwIfAborted(options.signal);
    gpu.checkAlive();
    const plan = this.plan(options);
    const { rope, head_dim } = this.config;
    const executor = new Executor({
      gpu,
      pipelines: this.#pipelines,
      weights,
      plan,
      ...(rope && { rope: ropeTable(rope, head_dim, plan.capacity) }),
      onCompile: (done, total) => onProgress({ phase: "compile", done, total }),
    });
    try {
      await gpu.checkAllocations();
    } catch (error) {
      executor.dispose();
      throw error;
    }
    return new Sequences(executor, this.config.vocab_size);
  }

  /** Frees the weights and the device, if it is the model's own. Open sessions end with it. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const { gpu, weights } = this.#parts;
    for (const buffer of [...weights.parts, weights.params]) gpu.release(buffer);
    gpu.destroy();
  }

  #generation(prompts: readonly PromptInput[], options: GenerateOptions): Generation {
    const wanted = options.context === undefined ? undefined : this.#contextFor(options.context);
    const numbered = prompts.map((prompt, sequence) => ({ sequence, prompt }));
    const { request, context } = settleRequest(this.#bounds(wanted), numbered, options);
    return new Generation(request, async () => {
      const sequences = await this.openSequences({ sequences: prompts.length, context, signal: options.signal });
      return { sequences, check: () => undefined, release: () => sequences.dispose() };
    });
  }

  #bounds(context: number | undefined): RequestBounds {
    const { config, tokenizer } = this;
    return { config, tokenizer, eosTokenIds: this.#parts.generationConfig.eos_token_ids, context };
  }

  #contextFor(positions: number): number {
    const { max_position_embeddings: most } = this.config;
    if (!Number.isSafeInteger(positions) || positions < 1) {
      throw new SluiceError("usage", `A context of ${positions} makes no sense; it must be a whole number, 1 or more`);
    }
    if (positions > most) {
      throw new SluiceError("context_overflow", `${positions} positions exceed the model's context of ${most}`, {
        hint: "Use fewer tokens; the model was not made for more (max_position_embeddings in config.json).",
      });
    }
    return positions;
  }

  async #withSequences<Result>(
    options: SessionOptions,
    use: (sequences: Sequences) => Promise<Result>,
  ): Promise<Result> {
    const sequences = await this.openSequences(options);
    try {
      return await use(sequences);
    } finally {
      sequences.dispose();
    }
  }
}
