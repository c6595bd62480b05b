/** A Hugging Face folder's weights: one safetensors file, or several with an index that locates each tensor. */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import { noWeights } from "./foreign-folder.ts";
import type { Span } from "./read-ahead.ts";
import { readHeader, type TensorEntry } from "./safetensors-header.ts";
import { checkRange, type FileSource, readJson } from "./source.ts";
import { WithheldFile } from "./url-fetch.ts";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/** Maximum number of shards, more than any model has; opening one is a request over HTTP. */
const MAX_SHARDS = 4096;

/** Headers read at a time. */
const HEADERS_AT_ONCE = 8;

/** Maximum bytes of an index: more tensors than any model has. */
const MAX_INDEX_BYTES = 32_000_000;

/**
 * Finds the weights and reads their headers, nothing more. As in transformers, `model.safetensors` takes precedence over
 * an index. An index says which files there are; the files say what they contain. The tensors come in the order
 * of the files, which is the cheapest to read. Float64 is presented as float32.
 *
 * The checkpoint takes over the source: closing one closes the other.
 * @throws `not_found` if there are no safetensors, or none of the index's shards; `bad_file` for a damaged
 *   header or index
 */
export async function openCheckpoint(source: FileSource, signal?: AbortSignal): Promise<Checkpoint> {
  if (source.weights) return source.weights.open(signal);
  if ((await findWeights(source, signal)) === SINGLE) return openWeightsFile(source, SINGLE, signal);
  const { placed, missing } = await readShards(source, signal);
  return new SafetensorsCheckpoint(source, placed, missing);
}

/** The file of weights, or the index of several. From a server that withholds the first, the second counts. */
async function findWeights(source: FileSource, signal?: AbortSignal): Promise<typeof SINGLE | typeof INDEX> {
  let withheld: WithheldFile | undefined;
  for (const path of [SINGLE, INDEX] as const) {
    try {
      if (await source.exists(path, signal)) return path;
    } catch (error) {
      if (!(error instanceof WithheldFile)) throw error;
      withheld ??= error;
    }
  }
  throw withheld ?? (await noWeights(source, `neither ${SINGLE} nor ${INDEX}`, signal));
}

/**
 * One safetensors file by its name, nothing but its header read. The checkpoint takes over the source.
 * @throws `not_found`, or `bad_file` for a damaged header
 */
export async function openWeightsFile(source: FileSource, file: string, signal?: AbortSignal): Promise<Checkpoint> {
  const { tensors } = await readHeader(source, file, signal);
  return new SafetensorsCheckpoint(source, new Map([...tensors].map(([name, entry]) => [name, { file, entry }])));
}

/**
 * The files that hold the weights, in ascending order of their names.
 * @throws `not_found` if there are none, `bad_file` for a damaged index
 */
export async function weightFiles(
  source: FileSource,
  signal?: AbortSignal,
): Promise<{ readonly names: readonly string[]; readonly isSingle: boolean }> {
  if (source.weights) {
    const names = await source.weights.files(signal);
    return { names, isSingle: names.length === 1 };
  }
  if ((await findWeights(source, signal)) === SINGLE) return { names: [SINGLE], isSingle: true };
  const shardOf = readIndex(await readJson(source, INDEX, signal, MAX_INDEX_BYTES), source.describe(INDEX));
  return { names: [...new Set(shardOf.values())].sort(), isSingle: false };
}

interface PlacedTensor {
  readonly file: string;
  readonly entry: TensorEntry;
}

class SafetensorsCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly label: string;
  readonly forwardOnly: boolean;
  readonly #source: FileSource;
  readonly #placed: ReadonlyMap<string, PlacedTensor>;
  readonly missing: ReadonlyMap<string, string>;
  readonly readAhead?: NonNullable<Checkpoint["readAhead"]>;

  constructor(
    source: FileSource,
    placed: ReadonlyMap<string, PlacedTensor>,
    missing: ReadonlyMap<string, string> = new Map(),
  ) {
    this.#source = source;
    this.missing = missing;
    this.label = source.label;
    // Known by now, since the headers have been read.
    this.forwardOnly = [...placed.values()].some(({ file }) => source.isForwardOnly(file));
    if (source.readAhead) this.readAhead = (names, signal) => this.#readAhead(names, signal);
    this.#placed = placed;
    this.tensors = new Map([...placed].map(([name, { entry }]) => [name, isDouble(entry) ? asFloat32(entry) : entry]));
  }

  async read(name: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array> {
    const placed = this.#placed.get(name);
    if (!placed) throw new SluiceError("bad_weights", `${this.#source.label} has no tensor "${name}"`);
    const { file, entry } = placed;
    const where = `${this.#source.describe(file)}: tensor "${name}"`;
    checkRange(where, begin, end);
    const byteLength = this.tensors.get(name)?.byteLength ?? 0;
    if (end > byteLength) {
      throw new SluiceError("usage", `${where} has ${byteLength} bytes; ${begin} to ${end} were requested`);
    }
    const { begin: at } = entry;
    if (!isDouble(entry)) return this.#source.read(file, at + begin, at + end, signal);
    const first = Math.floor(begin / 4);
    const doubles = await this.#source.read(file, at + first * 8, at + Math.ceil(end / 4) * 8, signal);
    const floats = Float32Array.from(new Float64Array(doubles.buffer));
    return new Uint8Array(floats.buffer).slice(begin - first * 4, end - first * 4);
  }

  #readAhead(names: ReadonlySet<string>, signal: AbortSignal | undefined): void {
    const spans = new Map<string, Span[]>();
    for (const [name, { file, entry }] of this.#placed) {
      if (!names.has(name)) continue;
      const { begin, end } = entry;
      const others = spans.get(file);
      if (others) others.push({ begin, end });
      else spans.set(file, [{ begin, end }]);
    }
    for (const [file, list] of spans) this.#source.readAhead?.(file, list, signal);
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}

function isDouble({ dtype }: TensorEntry): boolean {
  return dtype === "F64";
}

/** The dtype presented: nothing on the way to the GPU, or on it, is wider than float32. */
function asFloat32(entry: TensorEntry): TensorEntry {
  return { ...entry, dtype: "F32", byteLength: entry.byteLength / 2 };
}

async function readShards(
  source: FileSource,
  signal: AbortSignal | undefined,
): Promise<{ readonly placed: ReadonlyMap<string, PlacedTensor>; readonly missing: ReadonlyMap<string, string> }> {
  const shardOf = readIndex(await readJson(source, INDEX, signal, MAX_INDEX_BYTES), source.describe(INDEX));
  const files = [...new Set(shardOf.values())].sort();
  if (files.length > MAX_SHARDS) {
    throw badIndex(source.describe(INDEX), `it names ${files.length} files, and ${MAX_SHARDS} at most are read`);
  }
  const headers = await inTurns(files, HEADERS_AT_ONCE, async (file) =>
    (await source.exists(file, signal)) ? readHeader(source, file, signal) : undefined,
  );
  if (headers.every((header) => header === undefined)) throw missingShard(source, files[0] as string, shardOf);
  const placed = new Map<string, PlacedTensor>();
  for (const [i, file] of files.entries()) {
    for (const [name, entry] of headers[i]?.tensors ?? []) {
      // In transformers the last file wins; if the index names one of them, that one is meant.
      if (!placed.has(name) || shardOf.get(name) !== placed.get(name)?.file) placed.set(name, { file, entry });
    }
  }
  const absent = new Set(files.filter((_, i) => headers[i] === undefined));
  const missing = new Map([...shardOf].filter(([name, file]) => absent.has(file) && !placed.has(name)));
  return { placed, missing };
}

/** `work` on every item, that many at a time; results in the items' order. */
async function inTurns<Item, Result>(
  items: readonly Item[],
  atOnce: number,
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (let at = 0; at < items.length; at += atOnce) {
    results.push(...(await Promise.all(items.slice(at, at + atOnce).map(work))));
  }
  return results;
}

/** The index's `weight_map`: tensor name to shard. */
function readIndex(json: unknown, where: string): ReadonlyMap<string, string> {
  const map = (json as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map)) throw badIndex(where, "it has no weight_map");
  const entries = Object.entries(map as Record<string, unknown>);
  if (entries.length === 0) throw badIndex(where, "its weight_map is empty");
  for (const [name, file] of entries) {
    // Shards are next to the index: anything else could point out of the folder.
    if (typeof file !== "string" || !/^[^/\\:?#]+\.safetensors$/.test(file)) {
      throw badIndex(
        where,
        `tensor ${show(name)} is said to be in ${show(file)}, not in a safetensors file next to the index`,
      );
    }
  }
  return new Map(entries as [string, string][]);
}

function missingShard(source: FileSource, file: string, shardOf: ReadonlyMap<string, string>): SluiceError {
  const count = [...shardOf.values()].filter((other) => other === file).length;
  return new SluiceError(
    "not_found",
    `${source.describe(file)} does not exist, but ${INDEX} says that it holds ${count} of the ${shardOf.size} tensors`,
    { hint: "Download the missing file into the same folder." },
  );
}

function badIndex(where: string, problem: string): SluiceError {
  return new SluiceError("bad_file", `${where}: ${problem}`, {
    hint: "The index and its shards do not belong together. Download all of them again.",
  });
}
