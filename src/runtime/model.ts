/** A loaded model: what callers hold. Weights stay on the GPU; every call opens the session it needs. */

import type { FusedOp } from "../compile/fused.ts";
import { lower } from "../compile/lower.ts";
import type { Plan } from "../compile/plan.ts";
import type { WeightLayout } from "../compile/weight-layout.ts";
import { SluiceError } from "../errors.ts";
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
import { checkSampling } from "./sampling.ts";
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
  encode(prompt: string | readonly number[]): readonly number[] {
    if (typeof prompt === "string" && !this.tokenizer) {
      throw new SluiceError("bad_tokens", "This model's folder holds no tokenizer, so it cannot read text", {
        hint: "Give token ids (on the command line: --tokens 1,2,3), or add tokenizer.json.",
      });
    }
    const tokens = typeof prompt === "string" ? (this.tokenizer as Tokenizer).encode(prompt) : prompt;
    if (tokens.length === 0) throw new SluiceError("usage", "The prompt is empty: there is nothing to continue");
    return tokens;
  }

  /** Continues a prompt. Nothing runs until the result is iterated or awaited. */
  generate(prompt: string | readonly number[], options: GenerateOptions = {}): Generation {
    return this.#generation([prompt], options);
  }

  /** Continues several prompts side by side; results in their order. */
  async generateBatch(
    prompts: readonly (string | readonly number[])[],
    options: GenerateOptions = {},
  ): Promise<readonly GenerateResult[]> {
    if (prompts.length === 0) return [];
    return this.#generation(prompts, options).results();
  }

  /** Logits at every position of `tokens`, or at the last alone: `[T, vocab_size]` or `[1, vocab_size]`. */
  async logits(
    tokens: readonly number[],
    options: { readonly last?: boolean; readonly signal?: AbortSignal } = {},
  ): Promise<Matrix> {
    return this.#withSession({ context: this.#contextFor(tokens.length), signal: options.signal }, (session) =>
      computeLogits(session, this.encode(tokens), this.config.vocab_size, options),
    );
  }

  /** Values at named sites for every position of `tokens`: `[T, width]`; `attn_pattern.l`: `[heads, T, T]`. */
  async capture(
    tokens: readonly number[],
    sites: readonly string[],
    options: { readonly signal?: AbortSignal } = {},
  ): Promise<ReadonlyMap<string, Matrix>> {
    if (sites.length === 0) throw new SluiceError("usage", "No site to capture was named");
    return this.#withSession(
      { context: this.#contextFor(tokens.length), captures: sites, signal: options.signal },
      (session) => captureSites(session, this.encode(tokens), options),
    );
  }

  /** Perplexity over documents of token ids: the exponential of the mean loss over all predicted tokens. */
  async perplexity(documents: readonly (readonly number[])[], options: PerplexityOptions = {}): Promise<Perplexity> {
    return measurePerplexity((session) => this.openSession(session), this.config, documents, options);
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

  /** Makes the buffers of a session; kernels compile when a step first needs them. The caller disposes of it. */
  async openSession(options: SessionOptions = {}): Promise<Session> {
    if (this.#disposed) throw new SluiceError("usage", "This model has been disposed of; load it again");
    const { gpu, weights, onProgress } = this.#parts;
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
    return new Session(executor, this.config.vocab_size);
  }

  /** Frees the weights and the device, if it is the model's own. Open sessions end with it. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    const { gpu, weights } = this.#parts;
    for (const buffer of [...weights.parts, weights.params]) gpu.release(buffer);
    gpu.destroy();
  }

  #generation(prompts: readonly (string | readonly number[])[], options: GenerateOptions): Generation {
    const encoded = prompts.map((prompt) => this.encode(prompt));
    const maxNewTokens = options.maxNewTokens ?? 128;
    if (!Number.isSafeInteger(maxNewTokens) || maxNewTokens < 1) {
      throw new SluiceError("usage", `maxNewTokens is ${maxNewTokens}; it must be a whole number, 1 or more`);
    }
    const longest = Math.max(...encoded.map((tokens) => tokens.length));
    // The last new token is never fed back, so it needs no place in the cache.
    const wanted = Math.min(longest + maxNewTokens - 1, Math.max(longest, this.config.max_position_embeddings));
    const context = this.#contextFor(options.context ?? wanted);
    if (longest > context) {
      throw new SluiceError("context_overflow", `The prompt has ${longest} tokens and the context holds ${context}`, {
        hint: "Shorten the prompt, or ask for a larger context.",
      });
    }
    // Ids without text are continued as they are: only generation_config.json or the caller stops them.
    const isText = prompts.some((prompt) => typeof prompt === "string");
    const { eos_token_ids } = this.#parts.generationConfig;
    const own = eos_token_ids ?? (isText ? this.config.eos_token_ids : []);
    const stop = options.stop ?? [];
    if (stop.length > 0 && !this.tokenizer)
      throw new SluiceError("usage", "Stop texts need a tokenizer; use stop tokens");
    return new Generation({
      prompts: encoded,
      tokenizer: this.tokenizer,
      sampling: checkSampling(options),
      maxNewTokens,
      stop,
      stopTokens: new Set([...own, ...(options.stopTokens ?? [])]),
      signal: options.signal,
      openSession: () => this.openSession({ sequences: encoded.length, context, signal: options.signal }),
    });
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

  async #withSession<Result>(options: SessionOptions, use: (session: Session) => Promise<Result>): Promise<Result> {
    const session = await this.openSession(options);
    try {
      return await use(session);
    } finally {
      session.dispose();
    }
  }
}
