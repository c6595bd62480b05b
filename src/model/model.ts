/** A loaded model, the object that callers hold. Weights stay on the GPU; every call opens the session it needs. */

import type { GenerationDefaults } from "../architectures/generation-config.ts";
import type { Argument, Arguments, Entry } from "../arguments/entry.ts";
import type { TokenIds } from "../arguments/lists.ts";
import { fuse } from "../compile/fuse.ts";
import type { Plan } from "../compile/plan.ts";
import { SluiceError } from "../errors.ts";
import { PipelineCache } from "../execution/pipelines.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import type { BundleInput, PrefixedBundle, SettingsInput } from "../interventions/arguments.ts";
import type { ComposedBundle } from "../interventions/bundle-types.ts";
import { compose } from "../interventions/compose.ts";
import { positionWarnings } from "../interventions/position-warnings.ts";
import { rewrite } from "../interventions/rewrite.ts";
import { listSites, ourSiteName, type SiteInfo } from "../interventions/site-names.ts";
import type { Composition, Stage } from "../interventions/stage.ts";
import type { ModelConfig } from "../model-config.ts";
import type { Resources } from "../resources.ts";
import { checkVocabulary, type Sequences } from "../runtime/sequences.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { Batch } from "./batch.ts";
import type { FiniteCheck } from "./check-finite.ts";
import { type Comparison, comparePair, nothingToCompare } from "./compare.ts";
import type { TokenComparison } from "./compare-tokens.ts";
import { modelDoors } from "./doors.ts";
import { explainPlan } from "./explain.ts";
import { type GenerateResult, Generation, generateAlone, tellTokens } from "./generation.ts";
import { captureSites, computeLogits, type Matrix } from "./inspect.ts";
import type { Lens } from "./lens.ts";
import type { ModelParts } from "./model-parts.ts";
import { type Edited, openSequences } from "./open-sequences.ts";
import type {
  BatchOptions,
  CompareOptions,
  CompareTokensOptions,
  ExplainOptions,
  GenerateBatchOptions,
  GenerateOptions,
  LensOptions,
  LogitsOptions,
  PerplexityOptions,
  RunOptions,
  SessionOptions,
} from "./options.ts";
import { measurePerplexity, type Perplexity } from "./perplexity.ts";
import { planSession } from "./plan-session.ts";
import {
  boundsOf,
  checkPromptLength,
  encodePrompt,
  numberSequences,
  type PromptInput,
  type ReadPrompt,
  type SettledRequest,
  settleRequest,
} from "./request.ts";
import { Session } from "./session.ts";
import { checkContext } from "./session-options.ts";

/** What makes a model with stages of another. */
interface ModelEdit {
  readonly owner: Model;
  readonly composition: Composition;
  readonly bundles: readonly ComposedBundle[];
}

/**
 * A loaded model, or one with interventions that shares another's weights. {@link load} makes the first, {@link
 * Model.with} the others.
 */
export class Model {
  /** The contents of config.json, in one shape for all families. */
  readonly config: ModelConfig;
  /** Text to ids and back; null if the folder has no tokenizer that can be read. */
  readonly tokenizer: Tokenizer | null;
  /** The makers' sampling defaults, from generation_config.json; spread them into `generate`'s options to use them. */
  readonly generationDefaults: GenerationDefaults;
  /** Why the folder's tokenizer could not be read; null if it was, or if there is none. Ids run anyway. */
  readonly tokenizerError: SluiceError | null;
  readonly #parts: ModelParts;
  readonly #pipelines: PipelineCache;
  /** What the stages come from, if it was given to `with`. */
  readonly #bundles: readonly ComposedBundle[];
  /** Absent without interventions, or if their structure changes nothing. */
  readonly #edited: Edited | undefined;
  /** The model that owns the weights, for one that was made by `with`. */
  readonly #owner: Model | undefined;
  #disposed = false;

  constructor(parts: ModelParts, edit?: ModelEdit) {
    this.config = parts.config;
    this.tokenizer = parts.tokenizer;
    this.generationDefaults = parts.generationConfig.defaults;
    this.tokenizerError = parts.tokenizerError;
    this.#parts = parts;
    this.#owner = edit?.owner;
    this.#bundles = edit?.bundles ?? [];
    this.#pipelines = edit ? edit.owner.#pipelines : new PipelineCache(parts.gpu);
    if (!edit) parts.gpu.tally.take("models");
    if (edit && edit.composition.stages.length > 0) {
      const graph = rewrite(parts.graph, edit.composition);
      this.#edited = { composition: edit.composition, graph, ops: fuse(graph) };
    }
  }

  /**
   * The same model with interventions: the weights are shared, the plan has the stages compiled in. Disposing of it is optional:
   * it ends with this model. On a model with interventions, the new bundles replace them.
   * @param bundles in the order in which they act; with a prefix a bundle's stages are named `PREFIX/ID`
   * @param settings strengths and alphas by stage id, instead of the bundles' own
   * @throws SluiceError `bad_bundle` naming file, stage and field; `usage` for settings that name an unknown stage
   */
  with(bundles: readonly (BundleInput | PrefixedBundle)[], settings: SettingsInput = {}): Model {
    const [read, wanted] = this.#enter(modelDoors.with, bundles, settings);
    const composition = compose(this.config, read, wanted);
    for (const warning of composition.warnings) this.#parts.onNotice(warning);
    return this.withStages(composition, read);
  }

  /** `with` for stages that are already checked against this model. @internal */
  withStages(composition: Composition, bundles: readonly ComposedBundle[] = []): Model {
    const model = new Model(this.#parts, { owner: this.#owner ?? this, composition, bundles });
    // Refuse now, not at the first session, what the device cannot run.
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

  /** The parts that this package's instruments, fits and judges use. @internal */
  get internals(): ModelParts & { readonly pipelines: PipelineCache } {
    return { ...this.#parts, pipelines: this.#pipelines };
  }

  /** GPU bytes in use: weights and open sessions. */
  get gpuBytes(): number {
    return this.#parts.gpu.bytesInUse;
  }

  /** What this model, and those that share its weights, hold on the device; nothing after `dispose`. */
  get resources(): Resources {
    return this.#parts.gpu.tally.counts;
  }

  /**
   * Ids of a prompt: text through the tokenizer, with the special tokens it adds; ids as they are.
   * @throws SluiceError `bad_tokens` for text without a tokenizer, `usage` for an empty prompt
   */
  encode(prompt: PromptInput): readonly number[] {
    return encodePrompt(boundsOf(this.#parts, undefined), ...modelDoors.encode.read(prompt));
  }

  /** Continues a prompt. Nothing runs until the result is iterated or awaited. */
  generate(prompt: PromptInput, options: GenerateOptions = {}): Generation {
    const [given, wanted] = this.#enter(modelDoors.generate, prompt, options);
    return this.#generation([given], wanted);
  }

  /** Continues several prompts in one batch; results are in their order, the samples of each together. */
  async generateBatch(
    prompts: readonly PromptInput[],
    options: GenerateBatchOptions = {},
  ): Promise<readonly GenerateResult[]> {
    const [given, { onToken, ...wanted }] = this.#enter(modelDoors.generateBatch, prompts, options);
    if (given.length === 0) return [];
    const generation = this.#generation(given, wanted);
    return onToken ? tellTokens(generation, onToken) : generation.results();
  }

  /**
   * Opens a session. Its cache persists between calls, so a prefix that a prompt shares with the last one is not computed
   * again. The caller disposes of it.
   * @throws SluiceError `context_overflow` for a context beyond the model's, `device_limit`
   */
  async session(options: Omit<SessionOptions, "captures" | "pooling"> = {}): Promise<Session> {
    const [wanted] = this.#enter(modelDoors.session, options);
    const cached = await this.openSequences({ live: true, ...wanted });
    return new Session(cached, boundsOf(this.#parts, cached.plan.capacity), this.#parts.onNotice);
  }

  /**
   * Opens a running batch: requests join and leave it while it runs, share prefixes, and have each its own interventions.
   * For servers, and for pages with several conversations. This model's bundles are registered with it, by the names of
   * their files without ending, or of their manifests. The caller disposes of it.
   * @throws SluiceError `context_overflow` for a context beyond the model's, `device_limit`
   */
  async batch(options: BatchOptions = {}): Promise<Batch> {
    const [wanted] = this.#enter(modelDoors.batch, options);
    const { openBatch } = await import("./batch.ts");
    return openBatch(
      { parts: this.#parts, pipelines: this.#pipelines },
      this.#edited?.composition,
      this.#bundles,
      wanted,
    );
  }

  /** Logits at every position of `tokens`, or at the last position only: `[T, vocab_size]` or `[1, vocab_size]`. */
  async logits(tokens: TokenIds, options: LogitsOptions = {}): Promise<Matrix> {
    const [ids, wanted] = this.#enter(modelDoors.logits, tokens, options);
    const session = { context: this.#checkRun(ids, wanted.promptLength), signal: wanted.signal };
    return this.#withSequences(session, (sequences) => computeLogits(sequences, ids, wanted));
  }

  /** The sites that this model has, for captures and stages, in the order in which a forward pass reaches them. */
  get sites(): readonly SiteInfo[] {
    return listSites(this.config);
  }

  /**
   * Values at sites for every position of `tokens`: `[T, width]`; `attn_pattern.l`: `[heads, T, T]`.
   * @param sites names as {@link sites} lists them, ours or TransformerLens': `resid_post.3`, `blocks.3.hook_resid_post`
   * @returns the values by the given names
   * @throws SluiceError `usage` for a site that the model does not have; `bad_tokens`, `context_overflow`, `aborted`
   */
  async capture(
    tokens: TokenIds,
    sites: readonly string[],
    options: RunOptions = {},
  ): Promise<ReadonlyMap<string, Matrix>> {
    const [ids, names, wanted] = this.#enter(modelDoors.capture, tokens, sites, options);
    const context = this.#checkRun(ids, wanted.promptLength);
    const ours = names.map((site) => ourSiteName(this.config, site));
    const session = { context, captures: ours, signal: wanted.signal };
    const captured = await this.#withSequences(session, (sequences) => captureSites(sequences, ids, wanted));
    return new Map(names.map((site, i) => [site, captured.get(ours[i] as string) as Matrix]));
  }

  /**
   * Looks through every value of a run, interventions in force, for the first operation whose output is not finite: where it
   * is, what it read, which stage made it. It reads all values back.
   * @throws SluiceError `bad_tokens`, `context_overflow`, `device_limit`, `aborted`
   */
  async checkFinite(prompt: PromptInput, options: RunOptions = {}): Promise<FiniteCheck> {
    const [given, wanted] = this.#enter(modelDoors.checkFinite, prompt, options);
    const ids = this.encode(given);
    const context = this.#checkRun(ids, wanted.promptLength);
    const { runFiniteCheck } = await import("./check-finite.ts");
    return runFiniteCheck({ ...(this.#edited ?? this.#parts), context, model: this }, ids, wanted);
  }

  /** Perplexity over documents of token ids: the exponential of the mean loss over all predicted tokens. */
  async perplexity(documents: readonly TokenIds[], options: PerplexityOptions = {}): Promise<Perplexity> {
    const [given, wanted] = this.#enter(modelDoors.perplexity, documents, options);
    const open = (session: SessionOptions) => this.openSequences(session);
    return measurePerplexity(open, this.config, given, wanted, this.#parts.onNotice);
  }

  /**
   * Continues a prompt with and without the interventions in one batch, and measures the distance of the predictions.
   * @throws SluiceError `usage` for a model without interventions, `non_finite`; and errors of generating
   */
  async compare(prompt: PromptInput, options: CompareOptions = {}): Promise<Comparison> {
    const [given, wanted] = this.#enter(modelDoors.compare, prompt, options);
    if (!this.#edited) throw nothingToCompare();
    const { request, context } = this.#settle([given], wanted);
    return this.#withSequences({ sequences: 2, context, signal: wanted.signal }, (sequences) =>
      comparePair(sequences, new Session(sequences, boundsOf(this.#parts, context)), given, request, wanted),
    );
  }

  /**
   * Compares how a text is predicted with and without the interventions, token by token, in one batch: probabilities,
   * ranks, the likeliest tokens, and the distance of the predictions.
   * @throws SluiceError `usage` for a model without interventions, `non_finite`, `bad_tokens`, `context_overflow`
   */
  async compareTokens(prompt: PromptInput, options: CompareTokensOptions = {}): Promise<TokenComparison> {
    const [given, wanted] = this.#enter(modelDoors.compareTokens, prompt, options);
    if (!this.#edited) throw nothingToCompare();
    const ids = this.encode(given);
    const context = this.#checkRun(ids, wanted.promptLength);
    const { comparePredictions } = await import("./compare-tokens.ts");
    return this.#withSequences({ sequences: 2, context, signal: wanted.signal }, (sequences) =>
      comparePredictions(sequences, ids, this.tokenizer, wanted),
    );
  }

  /**
   * The logit lens: the final norm and the head, as they are without interventions, on the stream after the embedding and
   * after each block. So it shows what the model would predict if it ended there; after the last block that is `logits`,
   * unless a stage acts later.
   * @throws SluiceError `usage` for a layer that the model does not have; `bad_tokens`, `context_overflow`, `aborted`
   */
  async lens(prompt: PromptInput, options: LensOptions = {}): Promise<Lens> {
    const [given, wanted] = this.#enter(modelDoors.lens, prompt, options);
    const { runLens } = await import("./lens.ts");
    return runLens(this, this.encode(given), wanted);
  }

  /**
   * The graph, the plan, its buffers and the linked WGSL of every kernel, as text.
   * @throws SluiceError `usage` for a kernel that the plan does not have
   */
  async explain(options: SessionOptions & ExplainOptions = {}): Promise<string> {
    const [{ parts, kernel, ...wanted }] = this.#enter(modelDoors.explain, options);
    const graph = this.#edited?.graph ?? this.#parts.graph;
    const what = { ...(parts && { parts }), ...(kernel !== undefined && { kernel }) };
    return explainPlan(graph, this.plan(wanted), this.#parts.layout, what);
  }

  /** The plan of a session. @internal */
  plan(options: SessionOptions = {}): Plan {
    return planSession(this.#parts, this.#edited ?? this.#parts, this.#edited?.composition, options);
  }

  /** Whether its weights have been freed. */
  get isDisposed(): boolean {
    return this.#disposed || (this.#owner?.isDisposed ?? false);
  }

  /** Checks the arguments of a call, and that the model can still run. */
  #enter<const All extends readonly Argument[]>(
    door: Entry<All>,
    ...given: { readonly [I in keyof All]: unknown }
  ): Arguments<All> {
    this.#checkOpen();
    return door.read(...given);
  }

  #checkOpen(): void {
    if (this.isDisposed) throw new SluiceError("usage", "This model has been disposed of; load it again");
  }

  /** Makes the buffers of sequences; kernels compile when a step first needs them. The caller disposes of them. @internal */
  async openSequences(options: SessionOptions = {}): Promise<Sequences> {
    this.#checkOpen();
    return openSequences(this.#parts, this.#pipelines, this.#edited, options);
  }

  /** Frees the weights and the device, if the model opened it. Open sessions end with it. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (this.#owner) return;
    this.#pipelines.dispose();
    this.#parts.gpu.destroy();
  }

  #generation(prompts: readonly ReadPrompt[], options: GenerateOptions): Generation {
    const { request, context } = this.#settle(prompts, options);
    const open = async () => {
      const count = request.prompts.length;
      const sequences = await this.openSequences({ sequences: count, context, signal: options.signal });
      return { sequences, check: () => undefined, release: () => sequences.dispose() };
    };
    return new Generation(() => generateAlone(request, open));
  }

  #settle(prompts: readonly ReadPrompt[], options: GenerateOptions): SettledRequest {
    const wanted = options.context === undefined ? undefined : checkContext(options.context, this.config);
    const settled = settleRequest(boundsOf(this.#parts, wanted), numberSequences(prompts, options.samples), options);
    const { prompts: encoded, promptLength, maxNewTokens } = settled.request;
    const longest = Math.max(...encoded.map(({ tokens }) => tokens.length));
    this.#warnOfPositions(promptLength ?? longest, longest + maxNewTokens - 1);
    return settled;
  }

  /** The context that tokens need. Checks first that they can be run, so that nothing is opened in vain. */
  #checkRun(tokens: readonly number[], promptLength: number | undefined): number {
    const { length } = encodePrompt(boundsOf(this.#parts, undefined), tokens);
    checkVocabulary(tokens, this.config.vocab_size);
    checkPromptLength(promptLength, [{ tokens }]);
    this.#warnOfPositions(promptLength ?? length, length);
    return checkContext(length, this.config);
  }

  /** Stages that begin after a run's last token change nothing: not an error, but a notice. */
  #warnOfPositions(promptLength: number, length: number): void {
    positionWarnings(this.stages, { promptLength, length }).forEach(this.#parts.onNotice);
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
