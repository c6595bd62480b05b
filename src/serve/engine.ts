/** What the server runs requests on: one running batch. */
import type { Batch, BatchStats, Bundle, GeneratedToken, GenerateOptions, GenerateResult, Model } from "../index.ts";
import type { Bundles, Intervention } from "./interventions.ts";
import { Problem } from "./problem.ts";

export interface EngineOptions {
  readonly sequences: number;
  readonly context: number | undefined;
  readonly maxQueue: number;
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
  /** Requests with interventions that run or wait, each in a session of its own, one at a time. */
  #edited = 0;
  #turn: Promise<unknown> = Promise.resolve();

  private constructor(model: Model, batch: Batch, bundles: Bundles, maxQueue: number) {
    this.model = model;
    this.bundles = bundles;
    this.#batch = batch;
    this.#maxQueue = maxQueue;
  }

  static async open(model: Model, bundles: Bundles, { sequences, context, maxQueue }: EngineOptions): Promise<Engine> {
    const batch = await model.batch({ sequences, maxQueue, ...(context !== undefined && { context }) });
    return new Engine(model, batch, bundles, maxQueue);
  }

  /** Positions of a sequence. */
  get context(): number {
    return this.#batch.context;
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
    if (interventions.length === 0) return this.#batch.generate(prompt, options);
    const bundles = interventions.map((each, i) => this.bundles.get(each, i));
    const prefixes = interventions.map((_, i) => (interventions.length > 1 ? `b${i}` : undefined));
    const model = this.model.with(
      bundles.map((bundle, i) => ({ bundle, ...(prefixes[i] !== undefined && { prefix: prefixes[i] }) })),
    );
    const open = async () => {
      const session = await model.session({ context: this.context });
      for (const [i, { stages, edges }] of interventions.entries()) {
        const named = (id: string): string => (prefixes[i] === undefined ? id : `${prefixes[i]}/${id}`);
        for (const [id, values] of stages ?? []) session.set(named(id), values);
        const mask = bundles[i]?.manifest.stages.find(({ kind }) => kind === "edge_mask");
        if (edges && !mask)
          throw new Problem(400, `Bundle "${interventions[i]?.bundle}" has no edge mask`, {
            param: `interventions[${i}].edges`,
          });
        if (edges && mask) session.set(named(mask.id), { edges });
      }
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
  addBundle(name: string, bundle: Bundle): boolean {
    // Composed and compiled as far as it can be, so that no request fails for it later.
    this.model.with([bundle]);
    return this.bundles.set(name, bundle);
  }

  /** @throws Problem 404 */
  removeBundle(name: string): void {
    this.bundles.delete(name);
  }

  dispose(): void {
    this.#batch.dispose();
  }
}
