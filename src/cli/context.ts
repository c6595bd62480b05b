/** What commands depend on: narrow interfaces to the library and the process, which tests replace. */

import type {
  AttributionOptions,
  AuraFit,
  AuraOptions,
  BenchOptions,
  BenchResult,
  Bundle,
  ComposedBundle,
  ComposeSettings,
  DeviceReport,
  DeviceReportOptions,
  DigestOptions,
  DirectionMethod,
  DirectionOptions,
  EdgeFit,
  EdgeFitOptions,
  EdgeGradient,
  EvaluateOptions,
  Evaluation,
  FootprintOptions,
  GeneratedToken,
  GenerateOptions,
  GenerateResult,
  LabelledTexts,
  LayerChoice,
  LayerChoiceOptions,
  LoadOptions,
  MaskValues,
  Model,
  ModelFootprint,
  NeuronFit,
  NeuronOptions,
  PrefixedBundle,
  Probe,
  ProbeOptions,
  Profile,
  ProfileOptions,
  SealOptions,
  Session,
  Sweep,
  SweepOptions,
  TuneModelOptions,
  TuningReport,
  UnigramClassifier,
  UnigramOptions,
} from "../index.ts";
import type { JobModel } from "../queue/messages.ts";
import type { QueueOptions, QueueRunner } from "../queue/node-collector.ts";
import type { RunningWorker, WorkerOptions } from "../queue/node-worker.ts";
import type { RunningServer, ServeOptions } from "../serve/node-serve.ts";
import type { TextOutput } from "./output.ts";
import type { Progress } from "./progress.ts";
import type { RunRecord } from "./run-record.ts";
import type { Completer, InputStream, LineSource } from "./streams.ts";

/** What the commands report about a generation that has ended. */
export type GenerationSummary = Pick<
  GenerateResult,
  "prompt_tokens" | "tokens" | "text" | "logprobs" | "finish" | "changes" | "seed" | "timings"
>;

/** A running generation: iterate once over its tokens, then read its summary. */
export interface RunningGeneration extends AsyncIterable<GeneratedToken> {
  result(): Promise<GenerationSummary>;
}

/** A cache that persists between calls: tokens that it already holds are not computed again. */
export interface OpenSession extends Pick<Session, "context" | "set" | "stage" | "dispose"> {
  generate(prompt: string | readonly number[], options: Omit<GenerateOptions, "context">): RunningGeneration;
}

/** What the commands use of a model. */
export interface LoadedModel
  extends Pick<
    Model,
    | "config"
    | "generationDefaults"
    | "device"
    | "tokenizer"
    | "stages"
    | "logits"
    | "capture"
    | "checkFinite"
    | "compare"
    | "lens"
    | "perplexity"
    | "explain"
    | "dispose"
  > {
  /** The reason why the folder's tokenizer could not be read. */
  readonly tokenizerError?: Model["tokenizerError"];
  generate(prompt: string | readonly number[], options: GenerateOptions): RunningGeneration;
  generateBatch(
    prompts: readonly (string | readonly number[])[],
    options: GenerateOptions,
  ): Promise<readonly GenerationSummary[]>;
  with(bundles: readonly ComposedBundle[], settings: ComposeSettings): LoadedModel;
  session(options: { readonly context?: number; readonly sequences?: number }): Promise<OpenSession>;
}

/** The result of `sluice info`. */
export interface InfoReport {
  /** For programs. */
  readonly data: unknown;
  /** For people. */
  readonly text: string;
}

/** The library, imported when a command needs it, so that `--help` answers at once. */
export interface Library {
  load(source: string, options: LoadOptions): Promise<LoadedModel>;
  loadBundle(source: string, options: { readonly signal?: AbortSignal }): Promise<Bundle>;
  /** Digests of those files of a model that bundles name. */
  digestsFor(
    bundles: readonly (Bundle | ComposedBundle)[],
    source: string,
    options: DigestOptions,
  ): Promise<NonNullable<ComposeSettings["digests"]>>;
  /** The digest of a model's weights. */
  weightsDigestOf(source: string, options: DigestOptions): Promise<string>;
  /** Speed of a model, and of the same model with interventions. */
  bench(model: LoadedModel, edited: LoadedModel | undefined, options: BenchOptions): Promise<BenchResult>;
  /** What a device is, how fast and whether it computes right. */
  deviceReport(model: LoadedModel, options: DeviceReportOptions): Promise<DeviceReport>;
  /** Measures which kernels are fastest for a model, and stores the choice. */
  tune(model: LoadedModel, options: TuneModelOptions): Promise<TuningReport>;
  attributeEdges(
    model: LoadedModel,
    tokens: readonly number[],
    options: AttributionOptions & MaskValues,
  ): Promise<EdgeGradient>;
  fitEdges(model: LoadedModel, options: EdgeFitOptions): Promise<EdgeFit>;
  fitAura(model: LoadedModel, options: AuraOptions): Promise<AuraFit>;
  fitDirection(model: LoadedModel, method: DirectionMethod, options: DirectionOptions): Promise<Bundle>;
  chooseLayer(model: LoadedModel, method: DirectionMethod, options: LayerChoiceOptions): Promise<LayerChoice>;
  fitProbe(model: LoadedModel, options: ProbeOptions): Promise<Probe>;
  /** @param source the model's folder */
  fitNeurons(model: LoadedModel, source: string, options: NeuronOptions): Promise<NeuronFit>;
  /** Gives a bundle checks, measured on a model. */
  sealBundle(model: LoadedModel, bundle: Bundle, options: SealOptions): Promise<Bundle>;
  /** Compares a model with interventions and without them. */
  evaluate(model: LoadedModel, options: EvaluateOptions): Promise<Evaluation>;
  /** Measures interventions at many strengths and layers. */
  sweep(model: LoadedModel, bundles: readonly PrefixedBundle[], options: SweepOptions): Promise<Sweep>;
  fitUnigramClassifier(texts: LabelledTexts, options: UnigramOptions): Promise<UnigramClassifier>;
  /** Where a model's time goes. The default prompt is 64 ids spread over the vocabulary. */
  profile(
    model: LoadedModel,
    prompt: string | readonly number[] | undefined,
    options: ProfileOptions,
  ): Promise<Profile>;
  /** Answers requests over HTTP. */
  serve(model: LoadedModel, options: ServeOptions): Promise<RunningServer>;
  /** A runner whose shards the workers of a queue compute. */
  openQueue(options: QueueOptions): Promise<QueueRunner>;
  /** Computes shards of a queue. */
  openWorker(
    options: Omit<WorkerOptions, "open"> & { open(about: JobModel): Promise<LoadedModel> },
  ): Promise<RunningWorker>;
  info(options: { readonly adapter?: string }): Promise<InfoReport>;
  /** The size of a model, before it is loaded. */
  measureModel(source: string, options: FootprintOptions): Promise<ModelFootprint>;
}

/** What a command receives. */
export interface CommandContext {
  readonly library: Library;
  readonly stdin: InputStream;
  /** Results only. */
  readonly stdout: TextOutput;
  /** Fires on Ctrl-C, and when the reader of the results has gone. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** What runs, when and where, for reports. @param device the one that computed, if any */
  record(device: string | null): RunRecord;
  /** Writes a line for the user to stderr. */
  note(text: string): void;
  /** Writes text for the user to stderr, unchanged. */
  say(text: string): void;
  /** A line editor if a user types on a terminal; otherwise null. */
  openEditor(completer: Completer): LineSource | null;
  /**
   * Resolves at the first Ctrl-C or SIGTERM from now on, which then does not end the command; the next ends the process.
   * @throws SluiceError `aborted` if one came before
   */
  untilShutdown(): Promise<void>;
  /** Makes Ctrl-C call the handler instead of ending the command, until the returned function is called. */
  divertInterrupts(handler: () => void): () => void;
}
