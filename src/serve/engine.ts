/**
 * What the server runs requests on: one running batch. A bundle that the batch cannot take, such as one of a kind that no
 * bundle had when the server began, runs in sessions beside it, one request at a time.
 */
import { SluiceError } from "../errors.ts";
import type {
  Batch,
  BatchStats,
  Bundle,
  GeneratedToken,
  GenerateOptions,
  GenerateResult,
  Model,
  StageChange,
  TokenLogprobs,
} from "../index.ts";
import { scorePrompt } from "../model/score-prompt.ts";
import { Bundles, type Intervention } from "./interventions.ts";
import type { Limits } from "./limits.ts";
import { Problem } from "./problem.ts";

export interface EngineOptions {
  readonly sequences: number;
  readonly context: number | undefined;
  readonly limits: Limits;
  /** Bundles may come later: the batch is opened for the usual kinds. */
  readonly allowUploads: boolean;
}

/** What a prompt's tokens are scored under. */
export interface Scoring {
  readonly interventions: readonly Intervention[];
  /** How many of the likeliest tokens in each place are listed. */
  readonly topLogprobs: number;
  readonly signal: AbortSignal;
}

/** A choice on its way: tokens as they come, then the summary. */
export interface RunningChoice extends AsyncIterable<GeneratedToken> {
  result(): Promise<GenerateResult>;
}

export class Engine {
  readonly model: Model;
  readonly bundles: Bundles;
  readonly #batch: Batch;
  readonly #maxQueue: number;
  /** Bundles that the batch has. */
  readonly #inBatch: Set<string>;
  /** Requests with interventions that run or wait, each in a session of its own, one at a time. */
  #edited = 0;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(model: Model, batch: Batch, bundles: Bundles, maxQueue: number) {
    this.#inBatch = new Set(batch.bundles.map(({ name }) => name));
    this.model = model;
    this.bundles = bundles;
    this.#batch = batch;
    this.#maxQueue = maxQueue;
  }

  /** @param given the first bundles, by name. @throws SluiceError `bad_bundle` for one that does not fit the model */
  static async open(model: Model, given: ReadonlyMap<string, Bundle>, options: EngineOptions): Promise<Engine> {
    const { sequences, context, limits, allowUploads } = options;
    const maxQueue = sequences * limits.queuePerSequence;
    // A batch names its model's bundles by their files.
    const named = [...given].map(([name, bundle]) => ({ ...bundle, file: `${name}.safetensors` }));
    // A model takes one edge mask. The batch may take the others too, if they have the first one's destinations.
    const mask = named.find(hasMask);
    const batched = named.filter((bundle) => bundle === mask || !hasMask(bundle));
    const prefixed = batched.map((bundle, i) => ({ bundle, prefix: `b${i}` }));
    const edited = batched.length > 0 ? model.with(prefixed) : model;
    const batch = await edited.batch({
      ...{ sequences, maxQueue },
      ...(context !== undefined && { context }),
      ...(allowUploads && { envelope: { affineRank: UPLOADED_RANK, neuronScales: true } }),
    });
    const bundles = new Bundles(limits);
    const engine = new Engine(model, batch, bundles, maxQueue);
    try {
      for (const [name, bundle] of given) await engine.addBundle(name, bundle);
    } catch (error) {
      batch.dispose();
      throw error;
    }
    return engine;
  }

  /** Positions of a sequence. */
  get context(): number {
    return this.#batch.context;
  }

  /** Choices that can run and wait at once: a request for more would be refused for ever. */
  get mostChoices(): number {
    return this.#batch.sequences + this.#maxQueue;
  }

  get stats(): BatchStats {
    const { stats } = this.#batch;
    return {
      ...stats,
      running: stats.running + Math.min(1, this.#edited),
      waiting: stats.waiting + Math.max(0, this.#edited - 1),
    };
  }

  /** Continues a prompt. @throws Problem 400 for bundles and stages that are not known */
  generate(
    prompt: string | readonly number[],
    options: GenerateOptions,
    interventions: readonly Intervention[],
  ): RunningChoice {
    const bundles = interventions.map((each, i) => this.bundles.get(each, i));
    if (interventions.every(({ bundle }) => this.#inBatch.has(bundle))) {
      return this.#batch.generate(prompt, { ...options, interventions });
    }
    return this.#generateApart(prompt, options, interventions, bundles);
  }

  /** Continues a prompt under a bundle that is not registered, in a session of its own. */
  generateWith(prompt: readonly number[], options: GenerateOptions, bundle: Bundle): RunningChoice {
    return this.#generateApart(prompt, options, [{ bundle: bundle.file }], [bundle]);
  }

  #generateApart(
    prompt: string | readonly number[],
    options: GenerateOptions,
    interventions: readonly Intervention[],
    bundles: readonly Bundle[],
  ): RunningChoice {
    const { model, changes } = this.#edit(interventions, bundles);
    const open = async () => {
      const session = await model.session({ context: this.context });
      for (const [id, values] of changes) session.set(id, values);
      return session;
    };
    let finished: (result: GenerateResult) => void = () => undefined;
    const result = new Promise<GenerateResult>((resolve) => {
      finished = resolve;
    });
    const run = this.#inTurn.bind(this);
    return {
      result: () => result,
      async *[Symbol.asyncIterator]() {
        const done = await run();
        try {
          const session = await open();
          try {
            const generation = session.generate(prompt, options);
            yield* generation;
            finished(await generation.result());
          } finally {
            session.dispose();
          }
        } finally {
          done();
        }
      },
    };
  }

  /**
   * Log probabilities of prompts' own tokens but the first, in a session beside the batch, one request at a time.
   * @throws Problem 400 for bundles and stages that are not known
   */
  async score(
    prompts: readonly (readonly number[])[],
    { interventions, topLogprobs, signal }: Scoring,
  ): Promise<readonly (readonly TokenLogprobs[])[]> {
    const bundles = interventions.map((each, i) => this.bundles.get(each, i));
    const { model, changes } = this.#edit(interventions, bundles);
    const done = await this.#inTurn();
    try {
      const context = prompts.reduce((most, { length }) => Math.max(most, length), 1);
      const sequences = await model.openSequences({ context, live: true, signal });
      try {
        for (const [id, values] of changes) sequences.stages?.set(id, values);
        const { tokenizer } = this.model;
        const scores: (readonly TokenLogprobs[])[] = [];
        for (const tokens of prompts)
          scores.push(await scorePrompt(sequences, tokens, { tokenizer, topLogprobs, signal }));
        return scores;
      } finally {
        sequences.dispose();
      }
    } finally {
      done();
    }
  }

  /** The model under a request's bundles, and what the request says of their stages. */
  #edit(
    interventions: readonly Intervention[],
    bundles: readonly Bundle[],
  ): { readonly model: Model; readonly changes: readonly (readonly [id: string, values: StageChange])[] } {
    if (interventions.length === 0) return { model: this.model, changes: [] };
    const prefixes = interventions.map((_, i) => (interventions.length > 1 ? `b${i}` : undefined));
    const model = this.model.with(
      bundles.map((bundle, i) => ({ bundle, ...(prefixes[i] !== undefined && { prefix: prefixes[i] }) })),
    );
    const changes = interventions.flatMap(({ bundle, stages, edges }, i) => {
      const named = (id: string): string => (prefixes[i] === undefined ? id : `${prefixes[i]}/${id}`);
      const values = [...(stages ?? [])].map(([id, each]): readonly [string, StageChange] => [named(id), each]);
      if (!edges) return values;
      const mask = bundles[i]?.manifest.stages.find(({ kind }) => kind === "edge_mask");
      if (mask) return [...values, [named(mask.id), { edges }] as const];
      throw new Problem(400, `Bundle "${bundle}" has no edge mask`, { param: `interventions[${i}].edges` });
    });
    return { model, changes };
  }

  /** Waits for those before it. @returns what ends its turn. @throws Problem 429 */
  async #inTurn(): Promise<() => void> {
    if (this.#edited > this.#maxQueue) throw new Problem(429, "Too many requests wait", { code: "queue_full" });
    this.#edited++;
    const before = this.#turn;
    let end: () => void = () => undefined;
    this.#turn = new Promise<void>((resolve) => {
      end = () => {
        this.#edited--;
        resolve();
      };
    });
    await before;
    return end;
  }

  /** @returns whether the name was free. @throws SluiceError `bad_bundle` for a bundle that does not fit the model */
  async addBundle(name: string, bundle: Bundle): Promise<boolean> {
    // Composed and compiled as far as it can be, so that no request fails for it later.
    this.model.with([bundle]);
    const isNew = this.bundles.set(name, bundle);
    if (isNew && this.#inBatch.has(name)) return isNew;
    if (this.#inBatch.delete(name)) this.#batch.removeBundle(name);
    try {
      await this.#batch.addBundle(name, bundle);
      this.#inBatch.add(name);
    } catch (error) {
      // It fits the model, but not what the batch was opened for.
      if (!(error instanceof SluiceError) || error.code !== "bad_bundle") throw error;
    }
    return isNew;
  }

  /** @throws Problem 404 */
  removeBundle(name: string): void {
    this.bundles.delete(name);
    if (this.#inBatch.delete(name)) this.#batch.removeBundle(name);
  }

  dispose(): void {
    this.#batch.dispose();
  }
}

/** Rank of the `affine` stages that a batch is opened for if bundles may be uploaded. */
const UPLOADED_RANK = 4;

function hasMask({ manifest }: Pick<Bundle, "manifest">): boolean {
  return manifest.stages.some(({ kind }) => kind === "edge_mask");
}
