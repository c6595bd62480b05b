/** Pooled responses of two classes of sentences, held as columns, and kept on the way so that a fit can go on. */
import { SluiceError, throwIfAborted } from "../errors.ts";
import type { Model } from "../runtime/model.ts";
import { type Pooling, pooledSites, poolResponses } from "./pool.ts";

/** Where a fit keeps what it has measured, under a name for the part: a file next to the result, for example. */
export interface ResponseStore {
  /** What was kept for a part: rows of float32 responses; null if nothing was. */
  load(part: string): Promise<Float32Array<ArrayBuffer> | null>;
  /** Keeps the rows measured so far, in place of what was kept for the part before. */
  save(part: string, rows: Float32Array<ArrayBuffer>): Promise<void>;
}

export type ClassName = "positive" | "negative";

/** Responses of one class: a row a sentence, the sites side by side. */
export class ResponseTable {
  readonly rows: Float32Array<ArrayBuffer>;
  readonly #sites: ReadonlyMap<string, { readonly first: number; readonly width: number }>;
  readonly #stride: number;
  readonly #count: number;

  constructor(count: number, widths: ReadonlyMap<string, number>) {
    let first = 0;
    const sites = new Map<string, { first: number; width: number }>();
    for (const [site, width] of widths) {
      sites.set(site, { first, width });
      first += width;
    }
    this.#sites = sites;
    this.#stride = first;
    this.#count = count;
    this.rows = new Float32Array(count * first);
  }

  get stride(): number {
    return this.#stride;
  }

  set(sentence: number, responses: ReadonlyMap<string, Float32Array>): void {
    for (const [site, { first }] of this.#sites) {
      this.rows.set(responses.get(site) ?? [], sentence * this.#stride + first);
    }
  }

  widthOf(site: string): number {
    return this.#at(site).width;
  }

  /** The responses of one neuron to every sentence, a copy. */
  column(site: string, neuron: number): Float32Array {
    const at = this.#at(site).first + neuron;
    return Float32Array.from({ length: this.#count }, (_, i) => this.rows[i * this.#stride + at] as number);
  }

  #at(site: string): { readonly first: number; readonly width: number } {
    const found = this.#sites.get(site);
    if (!found) throw new Error(`No responses of ${site} were measured`);
    return found;
  }
}

export type PooledClasses = Readonly<Record<ClassName, ResponseTable>>;

/** Sentences between two saves. */
const SAVE_EVERY = 512;

export class PooledResponses {
  readonly #model: Model;
  readonly #sites: readonly string[];
  readonly #pooling: Pooling;
  readonly #store: ResponseStore | undefined;

  /** @param sites of one part: its responses are held, and kept, together */
  constructor(model: Model, sites: readonly string[], pooling: Pooling, store?: ResponseStore) {
    this.#model = model;
    this.#sites = sites;
    this.#pooling = pooling;
    this.#store = store;
  }

  /**
   * Measures both classes, or what is left of them. Interrupted, it keeps what it has in the store.
   * @param onProgress called with the sentences done of both classes
   */
  async run(
    classes: Readonly<Record<ClassName, readonly (readonly number[])[]>>,
    signal: AbortSignal | undefined,
    onProgress: (done: number) => void,
  ): Promise<PooledClasses> {
    const tables = new Map<ClassName, ResponseTable>();
    let before = 0;
    for (const name of ["positive", "negative"] as const) {
      const offset = before;
      tables.set(name, await this.#runClass(name, classes[name], signal, (done) => onProgress(offset + done)));
      before += classes[name].length;
    }
    return { positive: tables.get("positive") as ResponseTable, negative: tables.get("negative") as ResponseTable };
  }

  async #runClass(
    name: ClassName,
    sentences: readonly (readonly number[])[],
    signal: AbortSignal | undefined,
    onProgress: (done: number) => void,
  ): Promise<ResponseTable> {
    const widths = new Map(pooledSites(this.#model, this.#sites).map(({ site, width }) => [site, width]));
    const table = new ResponseTable(sentences.length, widths);
    const part = `${name} ${this.#pooling} ${this.#sites.join(" ")}`;
    const kept = await this.#store?.load(part);
    if (kept && kept.length > table.rows.length) {
      throw new SluiceError("usage", "What was kept of an interrupted fit does not belong to these sentences", {
        hint: "Delete it to begin anew.",
      });
    }
    if (kept) table.rows.set(kept);
    let done = kept ? Math.floor(kept.length / table.stride) : 0;
    onProgress(done);
    const save = async (): Promise<void> => this.#store?.save(part, table.rows.slice(0, done * table.stride));
    try {
      while (done < sentences.length) {
        throwIfAborted(signal);
        const first = done;
        const batch = sentences.slice(first, this.#store ? first + SAVE_EVERY : undefined);
        await poolResponses(
          this.#model,
          batch,
          this.#sites,
          this.#pooling,
          (sentence, responses) => {
            table.set(first + sentence, responses);
            done = first + sentence + 1;
          },
          { signal, onProgress: () => onProgress(done) },
        );
        await save();
      }
    } catch (error) {
      if (done > 0) await save();
      throw error;
    }
    return table;
  }
}
