/** Pooled responses for a fit, row by row, from the model or from what an interrupted run kept. */
import type { Model } from "../model/model.ts";
import type { ShardRunner } from "../shards/shards.ts";
import { type PooledRows, type PooledSentence, type PooledSite, type Pooling, pooledBatches } from "./pool.ts";

/** Rows that a fit measures together. */
export interface MeasuredPart {
  /** Rows of the part, one per sentence. */
  readonly rows: number;
  /** Float32 values of a row. */
  readonly width: number;
}

/** Where a fit keeps the rows that it has measured, one list in the order of measuring: for example a file next to the result. */
export interface ResponseStore {
  /** Opens the list for rows of these parts, one part after another; resolves to the number of rows that it already holds. */
  begin(parts: readonly MeasuredPart[]): Promise<number>;
  /** Rows [first, first + count) of those it holds, in batches that are small compared with what a fit holds anyway. */
  read(first: number, count: number): AsyncIterable<PooledRows>;
  /** Adds the next rows. Rows outlive the process once this has resolved. */
  append(rows: PooledRows): Promise<void>;
}

/** Measures the parts of a fit one after another, starting with the rows that a store holds. */
export class Measurement {
  readonly #store: ResponseStore | undefined;
  readonly #runner: ShardRunner | undefined;
  /** Rows that an earlier run measured: the first of all parts. */
  readonly kept: number;
  #done = 0;

  private constructor(store: ResponseStore | undefined, runner: ShardRunner | undefined, kept: number) {
    this.#store = store;
    this.#runner = runner;
    this.kept = kept;
  }

  /**
   * @param parts all parts that will be read, in order
   * @param runner measures what the store does not hold; default: this process
   */
  static async begin(
    parts: readonly MeasuredPart[],
    store: ResponseStore | undefined,
    runner?: ShardRunner,
  ): Promise<Measurement> {
    return new Measurement(store, runner, (await store?.begin(parts)) ?? 0);
  }

  /** Rows handed out so far, of all parts. */
  get done(): number {
    return this.#done;
  }

  /**
   * The next rows, one per sentence, their sites side by side, in batches.
   * @throws errors of pooling and of the store
   */
  async *run(
    model: Model,
    sentences: readonly PooledSentence[],
    sites: readonly string[],
    pooling: Pooling,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<PooledRows> {
    const first = this.#done;
    const kept = Math.min(Math.max(this.kept - first, 0), sentences.length);
    if (this.#store && kept > 0) {
      for await (const rows of this.#store.read(first, kept)) {
        this.#done += rows.length;
        yield rows;
      }
    }
    const left = sentences.slice(kept);
    for await (const rows of pooledBatches(model, left, sites, pooling, signal, this.#runner)) {
      await this.#store?.append(rows);
      this.#done += rows.length;
      yield rows;
    }
  }
}

/** Floats of a row of these sites. */
export function widthOf(sites: readonly PooledSite[]): number {
  return sites.reduce((sum, { width }) => sum + width, 0);
}
