/**
 * Sluice: GPT-2 and Llama in WebGPU, the same in Node and in browsers.
 *
 * @example
 * import { load } from "sluice";
 * const model = await load("weights/stories260K");
 * for await (const { text } of model.generate("Once upon a time")) process.stdout.write(text ?? "");
 * model.dispose();
 */

export type { GenerationDefaults } from "./architectures/generation-config.ts";
export type { Table, TokenIds } from "./arguments/lists.ts";
export type {
  AttributionOptions,
  AttributionRun,
  EdgeAttribution,
  EdgeGradient,
  MaskValues,
  ShapedValues,
} from "./attribution/attribute-edges.ts";
export type { EnvelopeOptions } from "./compile/envelope.ts";
export type { KernelCheck } from "./device-report/check-kernels.ts";
export { type DeviceReport, type DeviceReportOptions, deviceReport } from "./device-report/device-report.ts";
export { type ErrorCode, SluiceError, type SluiceErrorOptions } from "./errors.ts";
export type { Estimate } from "./evaluate/bootstrap.ts";
export type { ContinuationPair, ScoredText, Scorer } from "./evaluate/continuations.ts";
export {
  type ContinuationReport,
  type EvaluateOptions,
  type Evaluation,
  evaluate,
  type PredictionReport,
  type SideBySide,
} from "./evaluate/evaluate.ts";
export {
  type CellPrompts,
  type Sweep,
  type SweepCell,
  type SweepOptions,
  type SweptPrompt,
  sweep,
} from "./evaluate/sweep.ts";
export type { CellTexts, PromptEffect } from "./evaluate/sweep-cell.ts";
export {
  fitUnigramClassifier,
  type LabelledTexts,
  type UnigramClassifier,
  type UnigramOptions,
} from "./evaluate/unigram-classifier.ts";
export type { HostWork } from "./execution/host-observer.ts";
export { attributeEdges, openAttribution } from "./fit/attribution.ts";
export { type AuraFit, type AuraOptions, fitAura, type RankedNeuron } from "./fit/aura.ts";
export { type DirectionMethod, type DirectionOptions, fitDirection } from "./fit/directions.ts";
export { type EdgeFit, type EdgeFitOptions, type FittedEdge, fitEdges, type PairLoss } from "./fit/edges/fit-edges.ts";
export { chooseLayer, type JudgedLayer, type LayerChoice, type LayerChoiceOptions } from "./fit/layer-choice.ts";
export {
  fitNeurons,
  type GroupSum,
  type NeuronFit,
  type NeuronGroup,
  type NeuronOptions,
  type NeuronReading,
  readValueVectors,
  type ValueReadouts,
} from "./fit/neurons.ts";
export { type PooledRows, type Pooling, type PoolOptions, poolResponses } from "./fit/pool.ts";
export { fitProbe, type Probe, type ProbeOptions, type ProbeReport, readProbe, writeProbe } from "./fit/probe.ts";
export type { MeasuredPart, ResponseStore } from "./fit/responses.ts";
export type { Sentence, SentenceOptions, TokenChoice } from "./fit/sentences.ts";
export type { ModelSource } from "./formats/open-source.ts";
export type { Expected as ExpectedFile } from "./formats/recognise.ts";
export {
  parseSafetensors,
  type SafetensorsFile,
  type StoredTensor,
  writeSafetensors,
} from "./formats/safetensors.ts";
export type { DeviceFeatures, DeviceLimits, DeviceProfile, LimitName } from "./gpu/profile.ts";
export { listModels, removeModel } from "./hub/cached-models.ts";
export type { HubChoice } from "./hub/open-options.ts";
export type { DownloadProgress, FileProgress } from "./hub/progress.ts";
export type { CachedFile, CachedModel, CachedRevision } from "./hub/store.ts";
export type { BundleInput, PrefixedBundle, SettingsInput } from "./interventions/arguments.ts";
export type { KeptStage } from "./interventions/bake-plan.ts";
export { readBundle, writeBundle } from "./interventions/bundle.ts";
export type { Bundle, ComposedBundle, ComposeSettings, WidenedEdges } from "./interventions/bundle-types.ts";
export { type CheckedLogit, type CheckResult, checkBundle } from "./interventions/check.ts";
export { type ExportOptions, exportBundle } from "./interventions/export/export-bundle.ts";
export type { ExportName } from "./interventions/export/export-format.ts";
export type { ImportChoices, ImportMethod } from "./interventions/import/foreign-kind.ts";
export { type ImportOptions, importBundle } from "./interventions/import/import-bundle.ts";
export { importControlVector } from "./interventions/import-gguf.ts";
export { inspectBundle } from "./interventions/inspect.ts";
export type {
  AffineManifest,
  Base as BundleBase,
  Check as BundleCheck,
  EdgeMaskManifest,
  Layers,
  Manifest,
  NeuronScaleManifest,
  StageManifest,
} from "./interventions/manifest.ts";
export { mergeBundles } from "./interventions/merge.ts";
export type { PositionRange, Positions } from "./interventions/positions.ts";
export { listSites, type SiteInfo } from "./interventions/site-names.ts";
export type { ModelShape } from "./interventions/sites.ts";
export type {
  AffineSite,
  AffineStage,
  AffineValues,
  Composition,
  Destinations,
  EdgeMaskStage,
  Gate,
  MaskedEdge,
  NeuronScaleStage,
  NeuronSite,
  NeuronValues,
  Stage,
  StageValues,
} from "./interventions/stage.ts";
export type { PoolReduction } from "./kernels/fit/pool.ts";
export type { KernelFamily } from "./kernels/kernel.ts";
export { type BakedModel, type BakeModelOptions, bakeModel } from "./model/bake-model.ts";
export type { Batch } from "./model/batch.ts";
export type { BatchBundle } from "./model/batch-bundles.ts";
export type { ChangedModel, ModelFile } from "./model/changed-model.ts";
export type { FiniteCheck, FiniteInput, NonFinite } from "./model/check-finite.ts";
export type { Comparison, Continuation, Divergence, MovedToken } from "./model/compare.ts";
export type { ComparedToken, TokenComparison, TokenPrediction } from "./model/compare-tokens.ts";
export { digestsFor, weightsDigestOf } from "./model/digests.ts";
export {
  type FootprintOptions,
  type ModelFootprint,
  measureModel,
  type WeightFootprint,
} from "./model/footprint.ts";
export type { GeneratedToken, GenerateResult, Generation, StageEvent, Timings } from "./model/generation.ts";
export type { Matrix } from "./model/inspect.ts";
export type { Lens, LensCell, LensLayer } from "./model/lens.ts";
export { load } from "./model/load.ts";
export { loadBundle } from "./model/load-bundle.ts";
export type { Model } from "./model/model.ts";
export type {
  BatchGenerateOptions,
  BatchIntervention,
  BatchOptions,
  CompareOptions,
  CompareTokensOptions,
  DigestOptions,
  ExplainOptions,
  ExplainPart,
  FileOptions,
  GenerateBatchOptions,
  GenerateOptions,
  LensOptions,
  LoadOptions,
  LogitsOptions,
  LoraChoice,
  Overflow,
  PerplexityOptions,
  PlanName,
  RunOptions,
  SessionBatchOptions,
  SessionGenerateOptions,
  SessionOptions,
  TokenListener,
  TuneModelOptions,
} from "./model/options.ts";
export type { Perplexity } from "./model/perplexity.ts";
export { type MovedWeights, type QuantizedModel, type QuantizeTarget, quantizeModel } from "./model/quantize-model.ts";
export { readModelConfig } from "./model/read-model-config.ts";
export type { PromptInput } from "./model/request.ts";
export type { FramedJson, JsonSchema, ResponseFormat } from "./model/response-format.ts";
export { type SealOptions, sealBundle } from "./model/seal-bundle.ts";
export type { Session } from "./model/session.ts";
export type { TokenLogprob, TokenLogprobs } from "./model/token-logprobs.ts";
export type { TokenOdds, TokenProbability } from "./model/token-odds.ts";
export { tuneModel } from "./model/tuning.ts";
export type { ActivationName, ModelConfig, QuantFormat, ReadyMade, RopeConfig } from "./model-config.ts";
export { type BenchOptions, type BenchResult, type BenchSpread, benchModel } from "./profile/bench.ts";
export type { Ceilings } from "./profile/ceilings.ts";
export { hostTimeOfToken } from "./profile/host.ts";
export { measureInPage } from "./profile/page-measures.ts";
export { type ProfileOptions, profileModel } from "./profile/profile.ts";
export type {
  ClockName,
  HostPhase,
  HostRow,
  HostSpan,
  HostSpanWork,
  Phase as ProfilePhase,
  Profile,
  ProfiledDispatch,
  ProfileRow,
  StageCost,
  WallTimes,
} from "./profile/profile-result.ts";
export { reportOf } from "./profile/report.ts";
export type { ReportOrigin } from "./profile/report-origin.ts";
export { traceOf } from "./profile/trace.ts";
export { type Resources, resources } from "./resources.ts";
export type { BatchStats } from "./runtime/batch/request.ts";
export type { FinishReason } from "./runtime/decode.ts";
export type { StageChange, StageNotice, StageState } from "./runtime/live-stages.ts";
export type { Progress, ProgressListener } from "./runtime/progress.ts";
export type { LogitBias, SamplingOptions } from "./runtime/sampling.ts";
export type { Held, Kept } from "./shards/kept.ts";
export type { Shard, ShardCall, ShardKind, ShardRunner } from "./shards/shards.ts";
export type {
  ChatContentPart,
  ChatMessage,
  ChatTemplateOptions,
  DecodeOptions,
  EncodeOptions,
  StreamOptions,
  TextStream,
  Tokenizer,
} from "./tokenizer/tokenizer.ts";
export type { TuningStore } from "./tune/remembered.ts";
export type { TunedOperation, TuningReport } from "./tune/tune.ts";
