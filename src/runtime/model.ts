/** A loaded model: what callers hold. Weights stay on the GPU; every call opens the session it needs. */

import { fuse } from "../compile/fuse.ts";
import type { FusedOp } from "../compile/fused.ts";
import type { Plan } from "../compile/plan.ts";
import type { WeightLayout } from "../compile/weight-layout.ts";
import { SluiceError, throwIfAborted } from "../errors.ts";
import {
  type AttributionOptions,
  EdgeAttribution,
  type EdgeGradient,
  type MaskValues,
} from "../fit/attribution/attribute-edges.ts";
import { type EdgeFit, type EdgeFitOptions, fitEdges } from "../fit/edges/fit-edges.ts";
import type { Gpu } from "../gpu/open.ts";
import { PipelineCache } from "../gpu/pipelines.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import type { Graph } from "../graph/graph.ts";
import type { Bundle } from "../interventions/bundle.ts";
import { type ComposedBundle, type ComposeSettings, compose } from "../interventions/compose.ts";
import { positionWarnings } from "../interventions/position-warnings.ts";
import { rewrite } from "../interventions/rewrite.ts";
import { listSites, ourSiteName, type SiteInfo } from "../interventions/site-names.ts";
import type { Composition, Stage } from "../interventions/stage.ts";
import type { ModelConfig } from "../models/config.ts";
import type { GenerationDefaults } from "../models/generation-config.ts";
import { ropeTable } from "../models/rope.ts";
import { type Profile, type ProfileOptions, profileModel } from "../profile/profile.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { TuningReport } from "../tune/tune.ts";
import { type CompareOptions, type Comparison, comparePair, nothingToCompare } from "./compare.ts";
import { Executor } from "./executor.ts";
import { type ExplainOptions, explainPlan } from "./explain.ts";
import { type GenerateOptions, type GenerateResult, Generation } from "./generation.ts";
import { captureSites, computeLogits, type Matrix } from "./inspect.ts";
import { LiveStages } from "./live-stages.ts";
import type { ModelParts } from "./model-parts.ts";
import { Pacer } from "./pacer.ts";
import { measurePerplexity, type Perplexity, type PerplexityOptions } from "./perplexity.ts";
import { planSession } from "./plan-session.ts";
import {
  boundsOf,
  checkPromptLength,
  encodePrompt,
  type PromptInput,
  type SettledRequest,
  settleRequest,
} from "./request.ts";
import { Sequences } from "./sequences.ts";
import { Session } from "./session.ts";
import { checkContext, type SessionOptions } from "./session-options.ts";
import { type TuneModelOptions, tuneParts } from "./tuning.ts";
import type { UploadRecord } from "./weights.ts";

/** A model with stages written into its graph. */
interface Edited {
  readonly composition: Composition;
  readonly graph: Graph;
  readonly ops: readonly FusedOp[];
}

export class Model {
  readonly config: ModelConfig;
  readonly tokenizer: Tokenizer | null;
  /** How its makers sample, by generation_config.json: `generate` does so if these are spread into its options. */
  readonly generationDefaults: GenerationDefaults;
  /** Why the folder's tokenizer could not be read; null if it was, or if there is none. Ids run all the same. */
  readonly tokenizerError: SluiceError | null;
  readonly #parts: ModelParts;
  readonly #pipelines: PipelineCache;
  /** Absent without interventions, and where they change nothing by their structure. */
  readonly #edited: Edited | undefined;
  /** The model that owns the weights, for one that was made by `with`. */
  readonly #owner: Model | undefined;
  #disposed = false;

  constructor(parts: ModelParts, edit?: { readonly owner: Model; readonly composition: Composition }) {
    this.config = parts.config;
    this.tokenizer = parts.tokenizer;
    this.generationDefaults = parts.generationConfig.defaults;
    this.tokenizerError = parts.tokenizerError;
    this.#parts = parts;
    this.#owner = edit?.owner;
    this.#pipelines = edit ? edit.owner.#pipelines : new PipelineCache(parts.gpu);
    if (edit && edit.composition.stages.length > 0) {
      const graph = rewrite(parts.graph, edit.composition);
      this.#edited = { composition: edit.composition, graph, ops: fuse(graph) };
    }
  }

  /**
   * The same model with interventions: the weights are shared, the plan has the stages compiled in. Dispose of it or not,
   * it ends with this model. Called on a model that has interventions, it replaces them.
   * @param bundles in the order in which they act; with a prefix a bundle's stages are named `PREFIX/ID`
   * @param settings strengths and alphas by stage id, in place of the bundles' own
   * @throws SluiceError `bad_bundle` naming file, stage and field; `usage` for settings that name no stage
   */
  with(bundles: readonly (Bundle | ComposedBundle)[], settings: ComposeSettings = {}): Model {
    const composed = bundles.map((bundle) => ("bundle" in bundle ? bundle : { bundle }));
    const composition = compose(this.config, composed, settings);
    for (const warning of composition.warnings) this.#parts.onNotice(warning);
    return this.withStages(composition);
  }

  /** `with`, for stages that were checked against this model already. @internal */
  withStages(composition: Composition): Model {
    const model = new Model(this.#parts, { owner: this.#owner ?? this, composition });
    // What the device could not run is said now and not at the first session.
    if (model.#edited) model.plan({ context: 1 });
    return model;
  }

  /** The stages that act, in order. */
  get stages(): readonly Stage[] {
    return this.#edited?.composition.stages ?? [];
  }

  /** The device this model runs on. */
  get device(): DeviceProfile {
    return this.#parts.gpu.profile;
  }

  /** For this package's own measuring and fitting: where the model runs, how its weights lie, the plain graph. @internal */
  get internals(): {
    readonly gpu: Gpu;
    readonly pipelines: PipelineCache;
    readonly layout: WeightLayout;
    readonly graph: Graph;
    readonly upload: UploadRecord;
  } {
    const { gpu, layout, graph, weights } = this.#parts;
    return { gpu, pipelines: this.#pipelines, layout, graph, upload: weights.upload };
  }

  /**
   * Measures which kernels serve this model fastest on its device, and remembers; sessions opened later use them.
   * @throws SluiceError `usage` for a model on the reference plan; `aborted`
   */
  tune(options: TuneModelOptions = {}): Promise<TuningReport> {
    return tuneParts(this.#parts, options);
  }

  /**
   * Where the time of a prefill and of decode steps goes, kernel by kernel and on the host.
   * @throws SluiceError as `profileModel` does
   */
  profile(prompt: PromptInput, options: ProfileOptions = {}): Promise<Profile> {
    return profileModel(this, prompt, options);
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
    return encodePrompt(boundsOf(this.#parts, undefined), prompt);
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
  async session(options: Omit<SessionOptions, "captures" | "pooling"> = {}): Promise<Session> {
    const cached = await this.openSequences({ live: true, ...options });
    return new Session(cached, boundsOf(this.#parts, cached.plan.capacity), this.#parts.onNotice);
  }

  /** Logits at every position of `tokens`, or at the last alone: `[T, vocab_size]` or `[1, vocab_size]`. */
  async logits(
    tokens: readonly number[],
    options: { readonly last?: boolean; readonly promptLength?: number; readonly signal?: AbortSignal } = {},
  ): Promise<Matrix> {
    const session = { context: this.#checkRun(tokens, options.promptLength), signal: options.signal };
    return this.#withSequences(session, (sequences) => computeLogits(sequences, tokens, options));
  }

  /** The sites that this model has, for captures and stages, in the order in which a forward pass reaches them. */
  get sites(): readonly SiteInfo[] {
    return listSites(this.config);
  }

  /**
   * Values at sites for every position of `tokens`: `[T, width]`; `attn_pattern.l`: `[heads, T, T]`.
   * @param sites names as {@link sites} lists them, ours or TransformerLens': `resid_post.3`, `blocks.3.hook_resid_post`
   * @returns the values by the names that were given
   * @throws SluiceError `usage` for a site that the model does not have; `bad_tokens`, `context_overflow`, `aborted`
   */
  async capture(
    tokens: readonly number[],
    sites: readonly string[],
    options: { readonly promptLength?: number; readonly signal?: AbortSignal } = {},
  ): Promise<ReadonlyMap<string, Matrix>> {
    if (sites.length === 0) throw new SluiceError("usage", "No site to capture was named");
    const context = this.#checkRun(tokens, options.promptLength);
    const ours = sites.map((site) => ourSiteName(this.config, site));
    const session = { context, captures: ours, signal: options.signal };
    const captured = await this.#withSequences(session, (sequences) => captureSites(sequences, tokens, options));
    return new Map(sites.map((site, i) => [site, captured.get(ours[i] as string) as Matrix]));
  }

  /** Perplexity over documents of token ids: the exponential of the mean loss over all predicted tokens. */
  async perplexity(documents: readonly (readonly number[])[], options: PerplexityOptions = {}): Promise<Perplexity> {
    const open = (session: SessionOptions) => this.openSequences(session);
    return measurePerplexity(open, this.config, documents, options, this.#parts.onNotice);
  }

  /**
   * Continues a prompt with and without the interventions, side by side, and says how far their predictions lie apart.
   * @throws SluiceError `usage` for a model without interventions, `non_finite`; and what generating throws
   */
  async compare(prompt: PromptInput, options: CompareOptions = {}): Promise<Comparison> {
    if (!this.#edited) throw nothingToCompare();
    const { request, context } = this.#settle([prompt], options);
    return this.#withSequences({ sequences: 2, context, signal: options.signal }, (sequences) =>
      comparePair(sequences, new Session(sequences, boundsOf(this.#parts, context)), prompt, request, options),
    );
  }

  /**
   * The mean next-token cross-entropy of `tokens` and its gradient with respect to every edge of a mask.
   * @throws SluiceError `usage` for a mask that does not fit, or a model with stages, which are not differentiated;
   *   `bad_tokens`, `context_overflow`, `device_limit`
   */
  async attributeEdges(
    tokens: readonly number[],
    options: AttributionOptions & MaskValues = {},
  ): Promise<EdgeGradient> {
    const attribution = await this.openAttribution([this.encode(tokens)], options);
    try {
      return await attribution.run(options, options);
    } finally {
      attribution.dispose();
    }
  }

  /**
   * Finds edges whose cut makes the model worse at bad texts and leaves it as good at others, as a bundle with a report.
   * @throws SluiceError `usage` where too few texts are given or no cut helps, or for a model with stages; `aborted`
   */
  fitEdges(options: EdgeFitOptions): Promise<EdgeFit> {
    return fitEdges(this, options);
  }

  /** Texts made ready for {@link attributeEdges} under one mask after another. The caller disposes of it. */
  async openAttribution(
    texts: readonly (readonly number[])[],
    options: AttributionOptions = {},
  ): Promise<EdgeAttribution> {
    const [stage] = this.stages;
    if (stage) {
      throw new SluiceError("usage", `Edges cannot be attributed through stage "${stage.id}" (${stage.kind})`, {
        hint: "Attribute the edges of the model without interventions; a mask to start from is given beside it.",
      });
    }
    const parts = this.#parts;
    return EdgeAttribution.open(
      { ...parts, pipelines: this.#pipelines, pace: new Pacer(parts.family) },
      texts,
      options,
    );
  }

  /**
   * The graph, the plan, its buffers and the linked WGSL of every kernel, as text.
   * @throws SluiceError `usage` for a kernel that the plan does not have
   */
  explain({ parts, kernel, ...options }: SessionOptions & ExplainOptions = {}): Promise<string> {
    const graph = this.#edited?.graph ?? this.#parts.graph;
    const what = { ...(parts && { parts }), ...(kernel !== undefined && { kernel }) };
    return explainPlan(graph, this.plan(options), this.#parts.layout, what);
  }

  /** The plan of a session. @internal */
  plan(options: SessionOptions = {}): Plan {
    return planSession(this.#parts, this.#edited ?? this.#parts, this.#edited?.composition, options);
  }

  /** Whether its weights are gone. */
  get isDisposed(): boolean {
    return this.#disposed || (this.#owner?.isDisposed ?? false);
  }

  /** Makes the buffers of sequences; kernels compile when a step first needs them. The caller disposes of them. @internal */
  async openSequences(options: SessionOptions = {}): Promise<Sequences> {
    if (this.isDisposed) throw new SluiceError("usage", "This model has been disposed of; load it again");
    const { gpu, weights, onProgress } = this.#parts;
    throwIfAborted(options.signal);
    gpu.checkAlive();
    const plan = this.plan(options);
    // Steps and captures are laid out by the edited plan, so the plain one must have the same.
    const { composition } = this.#edited ?? {};
    const plain = plan.stages && planSession(this.#parts, this.#parts, composition, options, plan.chunkRows);
    const { rope, head_dim } = this.config;
    const executor = new Executor({
      gpu,
      pipelines: this.#pipelines,
      weights,
      plan,
      ...(plain && { plain, live: options.live ?? false }),
      ...(rope && { rope: ropeTable(rope, head_dim, plan.capacity) }),
      onCompile: (done, total) => onProgress({ phase: "compile", done, total }),
    });
    try {
      await gpu.checkAllocations();
    } catch (error) {
      executor.dispose();
      throw error;
    }
    const stages = this.#edited && this.#liveStages(executor, this.#edited.composition);
    return new Sequences(executor, this.config.vocab_size, stages, onProgress);
  }

  #liveStages(executor: Executor, composition: Composition): LiveStages {
    const { stages, sequences } = executor.plan;
    return new LiveStages(composition, this.config, stages?.image, sequences, {
      writeTable: (offset, words) => executor.write({ role: "stages" }, offset, words),
      writeScopes: (words) => executor.writeScopes(words),
      mostScopeBytes: this.#parts.gpu.profile.limits.maxStorageBufferBindingSize / 2,
    });
  }

  /** Frees the weights and the device, if it is the model's own. Open sessions end with it. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#owner) return;
    const { gpu, weights } = this.#parts;
    for (const buffer of [...weights.parts, weights.params]) gpu.release(buffer);
    gpu.destroy();
  }

  #generation(prompts: readonly PromptInput[], options: GenerateOptions): Generation {
    const { request, context } = this.#settle(prompts, options);
    return new Generation(request, async () => {
      const sequences = await this.openSequences({ sequences: prompts.length, context, signal: options.signal });
      return { sequences, check: () => undefined, release: () => sequences.dispose() };
    });
  }

  #settle(prompts: readonly PromptInput[], options: GenerateOptions): SettledRequest {
    const wanted = options.context === undefined ? undefined : this.#contextFor(options.context);
    const numbered = prompts.map((prompt, sequence) => ({ sequence, prompt }));
    const settled = settleRequest(boundsOf(this.#parts, wanted), numbered, options);
    const { prompts: encoded, promptLength, maxNewTokens } = settled.request;
    const longest = Math.max(...encoded.map(({ tokens }) => tokens.length));
    this.#warnOfPositions(promptLength ?? longest, longest + maxNewTokens - 1);
    return settled;
  }

  /** The context that tokens take, once it is known that they can be run; nothing is opened for those that cannot. */
  #checkRun(tokens: readonly number[], promptLength: number | undefined): number {
    const { length } = this.encode(tokens);
    checkPromptLength(promptLength, [{ tokens }]);
    this.#warnOfPositions(promptLength ?? length, length);
    return this.#contextFor(length);
  }

  /** Stages that begin behind a run's last token change nothing: no error, but worth a word. */
  #warnOfPositions(promptLength: number, length: number): void {
    positionWarnings(this.stages, { promptLength, length }).forEach(this.#parts.onNotice);
  }

  #contextFor(positions: number): number {
    return checkContext(positions, this.config);
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
