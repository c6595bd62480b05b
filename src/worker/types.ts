/** The engine as a page sees it: the library's names and arguments, with promises as results. */
import type { GenerationDefaults } from "../architectures/generation-config.ts";
import type { EdgeAttribution } from "../attribution/attribute-edges.ts";
import type { SluiceError } from "../errors.ts";
import type { ModelSource } from "../formats/open-source.ts";
import type { DeviceProfile } from "../gpu/profile.ts";
import type * as Library from "../index.ts";
import type { SiteInfo } from "../interventions/site-names.ts";
import type { Stage } from "../interventions/stage.ts";
import type { Batch } from "../model/batch.ts";
import type { GeneratedToken, GenerateResult, Generation } from "../model/generation.ts";
import type { Model } from "../model/model.ts";
import type { BatchGenerateOptions, GenerateOptions, LoadOptions, SessionGenerateOptions } from "../model/options.ts";
import type { PromptInput } from "../model/request.ts";
import type { Session } from "../model/session.ts";
import type { ModelConfig } from "../model-config.ts";
import type { Resources } from "../resources.ts";
import type { ChatTemplateOptions, Tokenizer } from "../tokenizer/tokenizer.ts";
import type { attributionMethods, batchMethods, functions, modelMethods, sessionMethods } from "./methods.ts";

/** What a result of the library is in a page: objects that stay in the worker have counterparts. */
type Got<Value> = Value extends Model
  ? WorkerModel
  : Value extends Session
    ? WorkerSession
    : Value extends Batch
      ? WorkerBatch
      : Value extends EdgeAttribution
        ? WorkerAttribution
        : Value;

/** What a page gives for an argument. Devices, stores and runners cannot go to a worker. */
type Given<Value> = Value extends Model
  ? WorkerModel
  : Value extends { readonly [Name in "device" | "store" | "adapter" | "runner"]?: unknown }
    ? Omit<Value, "device" | "store" | "adapter" | "runner">
    : Value;

/** A function of the library, called from a page. */
type Asked<Function> = Function extends (...given: infer Arguments) => infer Result
  ? (...given: { [At in keyof Arguments]: Given<Arguments[At]> }) => Promise<Got<Awaited<Result>>>
  : never;

type AskedAll<Owner, Names extends keyof Owner> = { readonly [Name in Names]: Asked<Owner[Name]> };

/** The functions that an {@link Engine} has besides `load`: those of the library, by their names. */
export type EngineFunctions = AskedAll<typeof Library, (typeof functions)[number]>;

/** Options of {@link Engine.load}: those of the library's `load`, without the device. */
export type WorkerLoadOptions = Omit<LoadOptions, "device" | "adapter">;

/** The engine in a worker. Every function of the library that works on models or bundles, with a promise as its result. */
export interface Engine extends EngineFunctions {
  /**
   * Loads a model in the worker: from a hub by its id, an address, or files that a user picked. Progress and notices go on
   * while the model is in use. @throws SluiceError as the library's `load`
   */
  load(source: ModelSource, options?: WorkerLoadOptions): Promise<WorkerModel>;
  /** Ends the worker with all models in it. Calls under way fail with `aborted`. */
  dispose(): void;
}

/** A model in the worker: {@link Model}, with promises as results. */
export interface WorkerModel extends AskedAll<Model, (typeof modelMethods)[number]> {
  /** The contents of config.json, in one shape for all families. */
  readonly config: ModelConfig;
  /** Text to ids and back; null if the folder has no tokenizer that can be read. */
  readonly tokenizer: WorkerTokenizer | null;
  /** Why the folder's tokenizer could not be read; null if it was, or if there is none. */
  readonly tokenizerError: SluiceError | null;
  /** The makers' sampling defaults. */
  readonly generationDefaults: GenerationDefaults;
  /** The stages that act, in order. */
  readonly stages: readonly Stage[];
  /** The sites that this model has. */
  readonly sites: readonly SiteInfo[];
  /** The device that it runs on. */
  readonly device: DeviceProfile;
  /** GPU bytes in use now: weights and open sessions. */
  readonly gpuBytes: Promise<number>;
  /** What it holds on the device; `engine.resources()` counts the whole worker. */
  readonly resources: Promise<Resources>;
  /** Continues a prompt. Nothing runs until the result is iterated or awaited. */
  generate(prompt: PromptInput, options?: GenerateOptions): WorkerGeneration;
  /** Frees the weights; sessions and models made by `with` end with them. */
  dispose(): void;
}

/** A model's tokenizer, in the worker. */
export interface WorkerTokenizer extends Pick<Tokenizer, "bosTokenId" | "eosTokenId" | "specialTokens" | "vocabSize"> {
  /** As {@link Tokenizer.encode}. */
  readonly encode: Asked<Tokenizer["encode"]>;
  /** As {@link Tokenizer.decode}. */
  readonly decode: Asked<Tokenizer["decode"]>;
  /** As {@link Tokenizer.applyChatTemplate}; the clock is the worker's. */
  applyChatTemplate(
    messages: Parameters<Tokenizer["applyChatTemplate"]>[0],
    options?: Omit<ChatTemplateOptions, "now">,
  ): Promise<string>;
  /**
   * The special token that the chat template puts after an answer: besides the end of text, it ends a turn. Undefined if it
   * puts none. @throws SluiceError as {@link applyChatTemplate}
   */
  tokenAfterAnswer(): Promise<number | undefined>;
}

/** A session in the worker. A change of a stage acts from the next submit on, also in the middle of a generation. */
export interface WorkerSession extends AskedAll<Session, (typeof sessionMethods)[number]> {
  /** Positions of each sequence. */
  readonly context: number;
  /** Number of sequences. */
  readonly sequences: number;
  /** Continues a prompt. Nothing runs until the result is iterated or awaited. */
  generate(prompt: PromptInput, options?: SessionGenerateOptions): WorkerGeneration;
  /** Frees the session's buffers. */
  dispose(): void;
}

/** A running batch in the worker: requests join and leave it while it runs. */
export interface WorkerBatch extends AskedAll<Batch, (typeof batchMethods)[number]> {
  /** Positions of each sequence. */
  readonly context: number;
  /** Number of sequences: the most requests that run at once. */
  readonly sequences: number;
  /** What it is doing now, and what it did since it was opened. */
  readonly stats: Promise<Batch["stats"]>;
  /** The bundles that requests can name now. */
  readonly bundles: Promise<Batch["bundles"]>;
  /** Continues a prompt beside whatever else runs. It joins when the result is iterated or awaited. */
  generate(prompt: PromptInput, options?: BatchGenerateOptions): WorkerGeneration;
  /** Frees the batch's buffers. Requests that run or wait end with an error. */
  dispose(): void;
}

/** Texts made ready for many masks, in the worker. */
export interface WorkerAttribution
  extends AskedAll<EdgeAttribution, (typeof attributionMethods)[number]>,
    Pick<EdgeAttribution, "destinations" | "masks"> {
  /** Frees its buffers. */
  dispose(): void;
}

/**
 * A generation in the worker: iterate it for tokens as they come, then call `result()`; or call `result()` at once. The
 * engine waits for a page that does not take its tokens.
 */
export interface WorkerGeneration extends AsyncIterable<GeneratedToken>, Pick<Generation, "result" | "results"> {
  result(): Promise<GenerateResult>;
  results(): Promise<readonly GenerateResult[]>;
}
