/** A server whose batch draws tokens without a device: all before the scheduler is the product's. */
import { readConfig } from "../../src/architectures/read-config.ts";
import type { TokenIds } from "../../src/arguments/lists.ts";
import { openSource } from "../../src/formats/open-source.ts";
import type { Model } from "../../src/index.ts";
import type { BundleInput } from "../../src/interventions/arguments.ts";
import { compose } from "../../src/interventions/compose.ts";
import { Batch } from "../../src/model/batch.ts";
import type { BatchBundle, BatchBundles } from "../../src/model/batch-bundles.ts";
import { modelDoors } from "../../src/model/doors.ts";
import type { BatchOptions } from "../../src/model/options.ts";
import { encodePrompt, type PromptReader } from "../../src/model/request.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import type { BatchRequest, BatchStats } from "../../src/runtime/batch/request.ts";
import type { Scheduler } from "../../src/runtime/batch/scheduler.ts";
import { checkVocabulary, type Feed, type Sequences } from "../../src/runtime/sequences.ts";
import { type App, makeApp } from "../../src/serve/app.ts";
import { Engine } from "../../src/serve/engine.ts";
import { defaultLimits } from "../../src/serve/limits.ts";
import { Metrics } from "../../src/serve/metrics.ts";
import { Service } from "../../src/serve/service.ts";
import { loadTokenizer } from "../../src/tokenizer/load.ts";
import { spoilsNothing } from "./cases.ts";
import { picked } from "./picked-files.ts";
import type { Files, Random } from "./target.ts";

const CONTEXT = 1024;
/** A request gets no more tokens than this: texts are not what is tried. */
const MOST_TOKENS = 6;

/** Draws tokens that each request's grammar allows, as soon as a request comes. */
class DrawingScheduler {
  readonly #random: Random;
  readonly #vocabulary: number;
  readonly #cancelled = new WeakSet<BatchRequest>();

  constructor(random: Random, vocabulary: number) {
    this.#random = random;
    this.#vocabulary = vocabulary;
  }

  get counts(): BatchStats {
    const none = { running: 0, waiting: 0, slots: 0, slots_used: 0, cached_tokens: 0, steps: 0, rows: 0 };
    return { ...none, sequences: 4, prefill_tokens: 0, reused_tokens: 0, decode_tokens: 0 };
  }

  add(requests: readonly BatchRequest[]): void {
    for (const request of requests) queueMicrotask(() => this.#run(request));
  }

  cancel(request: BatchRequest): void {
    this.#cancelled.add(request);
  }

  dispose(): void {
    // Nothing runs on.
  }

  #run({ sampling, maxNewTokens, stopTokens, listener }: BatchRequest): void {
    const constraint = sampling.grammar?.begin();
    listener.onJoin(0);
    try {
      for (let drawn = 1; ; drawn++) {
        const token = this.#draw(constraint?.mask());
        const isStop = stopTokens.has(token);
        if (!isStop) constraint?.accept(token);
        const isLast = isStop || constraint?.isDone || drawn >= Math.min(maxNewTokens, MOST_TOKENS);
        const finish = isStop || constraint?.isDone ? "stop" : "length";
        const top = Array.from({ length: sampling.topLogprobs ?? 0 }, (_, i) => ({ token: i, logprob: -1 - i }));
        const logprobs = sampling.topLogprobs === undefined ? undefined : { logprob: -1, top };
        if (!listener.onToken({ token, finish: isLast ? finish : undefined, logprobs }) || isLast) return;
      }
    } catch (error) {
      listener.onError(error);
    }
  }

  #draw(mask: Uint32Array | undefined): number {
    const first = Math.floor(this.#random() * this.#vocabulary);
    for (let i = 0; i < this.#vocabulary; i++) {
      const id = (first + i) % this.#vocabulary;
      if (!mask || ((mask[id >>> 5] as number) >>> (id & 31)) & 1) return id;
    }
    throw new Error("The mask allows no token");
  }
}

/** Knows bundles and composes them with the model's shape; nothing acts. */
class NamedBundles {
  readonly list: BatchBundle[] = [];
  readonly #config: ModelConfig;

  constructor(config: ModelConfig) {
    this.#config = config;
  }

  add(name: string, bundle: BundleInput): void {
    compose(this.#config, [{ bundle: bundle as never }]);
    this.list.push({ name } as BatchBundle);
  }

  remove(name: string): void {
    const at = this.list.findIndex((each) => each.name === name);
    if (at >= 0) this.list.splice(at, 1);
  }

  lease() {
    return { stages: undefined, scopes: [], release: () => undefined };
  }
}

/** Sequences under which every token is as likely as any other. */
function evenSequences(vocabSize: number): Sequences {
  const none = (): void => undefined;
  const sequences = {
    ...{ plan: { logits: { stride: vocabSize } }, vocabSize, truncate: none, beginPrompt: none, dispose: none },
    check: (feeds: readonly Feed[]) => feeds.forEach(({ tokens }) => checkVocabulary(tokens, vocabSize)),
    async *feed([feed]: readonly Feed[]) {
      const outs = (feed?.tokens ?? []).slice(1).map((_, position) => ({ sequence: 0, position }));
      yield { step: { rows: [], outs }, bytes: [new ArrayBuffer(outs.length * vocabSize * 4)] };
    },
  };
  return sequences as unknown as Sequences;
}

export interface ImaginedServer {
  readonly app: App;
  /** What the server called its own fault. */
  readonly faults: readonly unknown[];
  /** From now on tokens are drawn by this. */
  drawBy(random: Random): void;
}

/** @param files a model's config.json and tokenizer. @param bundles by the names that requests use */
export async function imaginedServer(files: Files, bundles: ReadonlyMap<string, BundleInput>): Promise<ImaginedServer> {
  let random: Random = spoilsNothing;
  const parts = await opened(files);
  const { config, tokenizer } = parts;
  const model = {
    ...parts,
    internals: parts,
    generationDefaults: {},
    openSequences: async () => evenSequences(config.vocab_size),
    with(given: unknown, settings?: unknown) {
      const [read] = modelDoors.with.read(given as never, settings as never);
      compose(config, read as never);
      return model;
    },
    encode: (prompt: string | TokenIds) => encodePrompt(parts, modelDoors.encode.read(prompt)[0]),
    async batch(options: BatchOptions) {
      modelDoors.batch.read(options);
      const plan = { capacity: CONTEXT, sequences: options.sequences ?? 4 };
      const sequences = { plan, vocabSize: config.vocab_size, check: () => undefined } as unknown as Sequences;
      const bounds = { config, tokenizer, eosTokenIds: null, context: CONTEXT };
      const scheduler = new DrawingScheduler(() => random(), config.vocab_size) as unknown as Scheduler;
      return new Batch(sequences, scheduler, bounds, new NamedBundles(config) as unknown as BatchBundles);
    },
  } as unknown as Model;
  const faults: unknown[] = [];
  const engine = await Engine.open(model, bundles as never, {
    ...{ sequences: 4, context: CONTEXT, limits: defaultLimits, allowUploads: true },
  });
  const app = makeApp(new Service(engine, new Metrics(), defaultLimits, "stories260K"), {
    ...{ origins: ["https://good.example"], allowUploads: true },
    onFault: (error) => faults.push(error),
  });
  return {
    app,
    faults,
    drawBy(next) {
      random = next;
    },
  };
}

let known: Promise<PromptReader & { readonly config: ModelConfig }> | undefined;

/** The same for all cases of a process. */
function opened(files: Files): Promise<PromptReader & { readonly config: ModelConfig }> {
  known ??= (async () => {
    const config = readConfig(JSON.parse(new TextDecoder().decode(files.get("config.json"))), "config.json");
    return { config, tokenizer: await loadTokenizer(await openSource(picked(files)), config), tokenizerError: null };
  })();
  return known;
}
