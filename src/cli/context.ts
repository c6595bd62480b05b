/** What commands stand on: the library and the process, as narrow interfaces, so that tests can play both parts. */

import type {
  AttributionOptions,
  AuraFit,
  AuraOptions,
  BenchOptions,
  BenchResult,
  Bundle,
  ComposedBundle,
  ComposeSettings,
  DigestOptions,
  DirectionMethod,
  DirectionOptions,
  EdgeFit,
  EdgeFitOptions,
  EdgeGradient,
  EvaluateOptions,
  Evaluation,
  GeneratedToken,
  GenerateOptions,
  GenerateResult,
  LabelledTexts,
  LayerChoice,
  LayerChoiceOptions,
  LoadOptions,
  MaskValues,
  Model,
  NeuronFit,
  NeuronOptions,
  Probe,
  ProbeOptions,
  Profile,
  ProfileOptions,
  Session,
  TuneModelOptions,
  TuningReport,
  UnigramClassifier,
  UnigramOptions,
} from "../index.ts";
import type { TextOutput } from "./output.ts";
import type { Progress } from "./progress.ts";
import type { RunRecord } from "./run-record.ts";
import type { Completer, InputStream, LineSource } from "./streams.ts";

/** What the commands tell of a generation that has ended. */
export type GenerationSummary = Pick<
  GenerateResult,
  "prompt_tokens" | "tokens" | "text" | "finish" | "changes" | "seed" | "timings"
>;

/** A generation under way: iterated once for tokens as they come, then asked for its summary. */
export interface RunningGeneration extends AsyncIterable<GeneratedToken> {
  result(): Promise<GenerationSummary>;
}

/** A cache that stays between calls: what a prompt shares with what it already holds is not computed again. */
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
    | "compare"
    | "perplexity"
    | "explain"
    | "dispose"
  > {
  /** Why the folder's tokenizer could not be read. */
  readonly tokenizerError?: Model["tokenizerError"];
  generate(prompt: string | readonly number[], options: GenerateOptions): RunningGeneration;
  generateBatch(
    prompts: readonly (string | readonly number[])[],
    options: GenerateOptions,
  ): Promise<readonly GenerationSummary[]>;
  with(bundles: readonly ComposedBundle[], settings: ComposeSettings): LoadedModel;
  session(options: { readonly context?: number; readonly sequences?: number }): Promise<OpenSession>;
}

/** What `sluice info` tells. */
export interface InfoReport {
  /** For programs. */
  readonly data: unknown;
  /** For people. */
  readonly text: string;
}

/** The library, opened when a command needs it, so that `--help` is there at once. */
export interface Library {
  load(source: string, options: LoadOptions): Promise<LoadedModel>;
  loadBundle(source: string, options: { readonly signal?: AbortSignal }): Promise<Bundle>;
  /** Digests of a model's files, of those that bundles name. */
  digestsFor(
    bundles: readonly (Bundle | ComposedBundle)[],
    source: string,
    options: DigestOptions,
  ): Promise<NonNullable<ComposeSettings["digests"]>>;
  /** The digest of a model's weights. */
  weightsDigestOf(source: string, options: DigestOptions): Promise<string>;
  /** Speed of a model, and of the same with interventions beside it. */
  bench(model: LoadedModel, edited: LoadedModel | undefined, options: BenchOptions): Promise<BenchResult>;
  /** Measures which kernels serve a model fastest, and remembers. */
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
  /** A model with interventions against itself without them. */
  evaluate(model: LoadedModel, options: EvaluateOptions): Promise<Evaluation>;
  fitUnigramClassifier(texts: LabelledTexts, options: UnigramOptions): Promise<UnigramClassifier>;
  /** Where a model's time goes; without a prompt, that of 64 ids over the vocabulary. */
  profile(
    model: LoadedModel,
    prompt: string | readonly number[] | undefined,
    options: ProfileOptions,
  ): Promise<Profile>;
  info(options: { readonly adapter?: string }): Promise<InfoReport>;
}

/** What a command works with. */
export interface CommandContext {
  readonly library: Library;
  readonly stdin: InputStream;
  /** Results, and nothing else. */
  readonly stdout: TextOutput;
  /** Fires on Ctrl-C, and when nobody reads the results any more. */
  readonly signal: AbortSignal;
  readonly progress: Progress;
  /** What runs, when and where, for reports. @param device that computed, if one did */
  record(device: string | null): RunRecord;
  /** A line for the person, on stderr. */
  note(text: string): void;
  /** Text for the person as it is, on stderr. */
  say(text: string): void;
  /** An editor of lines, if a person types them on a terminal; else null. */
  openEditor(completer: Completer): LineSource | null;
  /** Until it is given back (by the returned function), Ctrl-C calls the handler and does not end the command. */
  divertInterrupts(handler: () => void): () => void;
}
