/** Pooled responses as a fit takes them: row by row, from the model or from what an interrupted run kept. */
import type { Model } from "../model/model.ts";
import { type PooledRows, type PooledSite, type Pooling, pooledBatches } from "./pool.ts";

/** Rows that a fit measures together. */
export interface MeasuredPart {
  /** Rows of the part, one per sentence. */
  readonly rows: number;
  /** Float32 values of a row. */
  readonly width: number;
}

/** Where a fit keeps the rows that it has measured, one list in the order of measuring: a file beside the result, say. */
export interface ResponseStore {
  /** Opens the list for rows of these parts, one part behind another; resolves to how many rows it holds already. */
  begin(parts: readonly MeasuredPart[]): Promise<number>;
  /** Rows [first, first + count) of what it holds by now, in batches that are small beside what a fit holds anyway. */
  read(first: number, count: number): AsyncIterable<PooledRows>;
  /** Adds the next rows. What it has resolved to outlives the process. */
  append(rows: PooledRows): Promise<void>;
}

/** Measures the parts of a fit one after another, beginning with what a store holds of them. */
export class Measurement {
  readonly #store: ResponseStore | undefined;
  /** Rows that an earlier run measured: the first so many of all parts. */
  readonly kept: number;
  #done = 0;

  private constructor(store: ResponseStore | undefined, kept: number) {
    this.#store = store;
    this.kept = kept;
  }

  /** @param parts all that will be asked for, in order */
  static async begin(parts: readonly MeasuredPart[], store: ResponseStore | undefined): Promise<Measurement> {
    return new Measurement(store, (await store?.begin(parts)) ?? 0);
  }

  /** Rows that were handed out, of all parts. */
  get done(): number {
    return this.#done;
  }

  /**
   * The next rows, one a sentence, their sites side by side, in batches.
   * @throws what pooling throws, and what the store throws
   */
  async *run(
    model: Model,
    sentences: readonly (readonly number[])[],
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
    for await (const rows of pooledBatches(model, sentences.slice(kept), sites, pooling, signal)) {
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
