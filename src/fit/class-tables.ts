/** Pooled responses of two classes as tables, for as many modules at a time as the memory limit allows. */
import { SluiceError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import type { ShardRunner } from "../shards/shards.ts";
import { type PooledRows, type PooledSentence, type PooledSite, type Pooling, pooledSites } from "./pool.ts";
import { Measurement, type ResponseStore, widthOf } from "./responses.ts";
import type { ReadClasses } from "./sentences.ts";

/** Responses of some modules to one class: one row per sentence. */
export class ResponseTable {
  readonly #rows: Float32Array<ArrayBuffer>;
  /** The module's place in a measured row, and its first column here. */
  readonly #sites: ReadonlyMap<string, { readonly place: PooledSite; readonly own: number }>;
  readonly #stride: number;
  #count = 0;

  /** @param places of its modules in a measured row, which may have more modules */
  constructor(sentences: number, places: readonly PooledSite[]) {
    let end = 0;
    this.#sites = new Map(
      places.map((place) => {
        end += place.width;
        return [place.site, { place, own: end - place.width }];
      }),
    );
    this.#stride = end;
    this.#rows = new Float32Array(sentences * end);
  }

  add(rows: PooledRows): void {
    for (const row of rows) {
      const at = this.#count++ * this.#stride;
      for (const { place, own } of this.#sites.values()) {
        this.#rows.set(row.subarray(place.first, place.first + place.width), at + own);
      }
    }
  }

  widthOf(site: string): number {
    return this.#at(site).place.width;
  }

  /** A copy of one neuron's responses to all sentences. */
  column(site: string, neuron: number): Float32Array {
    const column = new Float32Array(this.#count);
    const at = this.#at(site).own + neuron;
    for (let i = 0; i < column.length; i++) column[i] = this.#rows[i * this.#stride + at] as number;
    return column;
  }

  #at(site: string): { readonly place: PooledSite; readonly own: number } {
    const found = this.#sites.get(site);
    if (!found) throw new Error(`No responses of ${site} were measured`);
    return found;
  }
}

export interface ClassTables {
  readonly modules: readonly string[];
  readonly positive: ResponseTable;
  readonly negative: ResponseTable;
}

export interface ClassTableOptions extends Pick<ReadClasses, "positive" | "negative"> {
  readonly signal?: AbortSignal | undefined;
  readonly store?: ResponseStore | undefined;
  /** Measures elsewhere what the store does not hold. */
  readonly runner?: ShardRunner | undefined;
  /** Maximum bytes of tables at a time; default 1 GiB. A single module may take twice that. */
  readonly heldBytes?: number | undefined;
  onProgress?(done: number, total: number, kept: number): void;
}

/**
 * Measures modules, and yields groups of modules that fit in memory. With a store the sentences are
 * run once, and the groups are read from it; without one they are run once per group.
 * @throws SluiceError `usage` for heldBytes out of range, more sentences than fit in memory for a module; errors of pooling and of the store
 */
export async function* classTables(
  model: Model,
  modules: readonly string[],
  pooling: Pooling,
  options: ClassTableOptions,
): AsyncGenerator<ClassTables> {
  const { positive, negative, signal, store, runner, heldBytes = 1 << 30, onProgress } = options;
  if (!(heldBytes > 0)) throw new SluiceError("usage", `heldBytes is ${heldBytes}; it must be more than 0`);
  const rows = positive.length + negative.length;
  const groups = groupBySize(pooledSites(model, modules), rows, heldBytes);
  const runs = store ? [modules] : groups.map((group) => group.map(({ site }) => site));
  const measurement = await Measurement.begin(
    runs.map((sites) => ({ rows, width: widthOf(pooledSites(model, sites)) })),
    store,
    runner,
  );
  async function* measured(sites: readonly string[], sentences: readonly PooledSentence[]): AsyncGenerator<PooledRows> {
    for await (const batch of measurement.run(model, sentences, sites, pooling, signal)) {
      yield batch;
      onProgress?.(measurement.done, runs.length * rows, measurement.kept);
    }
  }
  const [only] = runs;
  if (store && groups.length > 1) {
    for (const sentences of [positive, negative]) for await (const _ of measured(only ?? [], sentences));
    for (const places of groups) {
      const tables = {
        positive: await filled(places, positive.length, store.read(0, positive.length)),
        negative: await filled(places, negative.length, store.read(positive.length, negative.length)),
      };
      yield { modules: places.map(({ site }) => site), ...tables };
    }
    return;
  }
  for (const sites of runs) {
    const places = pooledSites(model, sites);
    const tables = {
      positive: await filled(places, positive.length, measured(sites, positive)),
      negative: await filled(places, negative.length, measured(sites, negative)),
    };
    yield { modules: sites, ...tables };
  }
}

async function filled(
  places: readonly PooledSite[],
  sentences: number,
  batches: AsyncIterable<PooledRows>,
): Promise<ResponseTable> {
  const table = new ResponseTable(sentences, places);
  for await (const batch of batches) table.add(batch);
  return table;
}

function groupBySize(places: readonly PooledSite[], rows: number, most: number): readonly PooledSite[][] {
  const groups: PooledSite[][] = [];
  let held = Infinity;
  for (const place of places) {
    const bytes = rows * place.width * 4;
    if (bytes > 2 * most) {
      throw new SluiceError(
        "usage",
        `The responses of ${place.site} to all sentences take ${(bytes / 1e9).toFixed(1)} GB, and at most ${((2 * most) / 1e9).toFixed(1)} GB fit at a time`,
        { hint: "Give fewer sentences." },
      );
    }
    if (held + bytes > most) {
      groups.push([]);
      held = 0;
    }
    groups.at(-1)?.push(place);
    held += bytes;
  }
  return groups;
}
