/** A Hugging Face folder's weights: one safetensors file, or several with an index that says what is where. */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import { noWeights } from "./foreign-folder.ts";
import { readHeader, type TensorEntry } from "./safetensors-header.ts";
import { checkRange, type FileSource, readJson } from "./source.ts";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

/**
 * Finds the weights and reads their headers, nothing more. As in transformers, `model.safetensors` goes before
 * an index. The tensors come in the order of the files, which is the cheapest to read them in.
 *
 * The checkpoint takes over the source: closing the one closes the other.
 * @throws `not_found` when there are no safetensors or a shard is missing; `bad_file` for a damaged header or
 *   an index that contradicts its shards
 */
export async function openCheckpoint(source: FileSource, signal?: AbortSignal): Promise<Checkpoint> {
  if (await source.exists(SINGLE, signal)) {
    const { tensors } = await readHeader(source, SINGLE, signal);
    return new SafetensorsCheckpoint(
      source,
      new Map([...tensors].map(([name, entry]) => [name, { file: SINGLE, entry }])),
    );
  }
  if (await source.exists(INDEX, signal)) return new SafetensorsCheckpoint(source, await readShards(source, signal));
  throw await noWeights(source, `neither ${SINGLE} nor ${INDEX}`, signal);
}

/**
 * The files that hold the weights, in ascending order of their names.
 * @throws `not_found` when there are none, `bad_file` for an index that is damaged
 */
export async function weightFiles(
  source: FileSource,
  signal?: AbortSignal,
): Promise<{ readonly names: readonly string[]; readonly isSingle: boolean }> {
  if (await source.exists(SINGLE, signal)) return { names: [SINGLE], isSingle: true };
  if (!(await source.exists(INDEX, signal))) throw await noWeights(source, `neither ${SINGLE} nor ${INDEX}`, signal);
  const shardOf = readIndex(await readJson(source, INDEX, signal), source.describe(INDEX));
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

  constructor(source: FileSource, placed: ReadonlyMap<string, PlacedTensor>) {
    this.#source = source;
    this.label = source.label;
    // Known by now: the headers have been read.
    this.forwardOnly = [...placed.values()].some(({ file }) => source.isForwardOnly(file));
    this.#placed = placed;
    this.tensors = new Map([...placed].map(([name, { entry }]) => [name, entry]));
  }

  async read(name: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array> {
    const placed = this.#placed.get(name);
    if (!placed) throw new SluiceError("bad_weights", `${this.#source.label} has no tensor "${name}"`);
    const { file, entry } = placed;
    const where = `${this.#source.describe(file)}: tensor "${name}"`;
    checkRange(where, begin, end);
    if (end > entry.byteLength) {
      throw new SluiceError("usage", `${where} has ${entry.byteLength} bytes; ${begin} to ${end} were asked for`);
    }
    return this.#source.read(file, entry.begin + begin, entry.begin + end, signal);
  }

  close(): Promise<void> {
    return this.#source.close();
  }
}

async function readShards(source: FileSource, signal: AbortSignal | undefined): Promise<Map<string, PlacedTensor>> {
  const shardOf = readIndex(await readJson(source, INDEX, signal), source.describe(INDEX));
  const files = [...new Set(shardOf.values())].sort();
  const headers = await Promise.all(
    files.map(async (file) => {
      if (!(await source.exists(file, signal))) throw missingShard(source, file, shardOf);
      return readHeader(source, file, signal);
    }),
  );
  const placed = new Map<string, PlacedTensor>();
  for (const [i, file] of files.entries()) {
    for (const [name, entry] of headers[i]?.tensors ?? []) {
      const other = placed.get(name);
      if (other) {
        throw badIndex(source.describe(INDEX), `tensor "${name}" is in two shards, ${other.file} and ${file}`);
      }
      placed.set(name, { file, entry });
    }
  }
  for (const [name, file] of shardOf) {
    const found = placed.get(name)?.file;
    if (found !== file) {
      const but = found ? `it is in ${found}` : "it is not there";
      throw badIndex(source.describe(INDEX), `the index says that tensor "${name}" is in ${file}, but ${but}`);
    }
  }
  return placed;
}

/** The index's `weight_map`: tensor name to shard. */
function readIndex(json: unknown, where: string): ReadonlyMap<string, string> {
  const map = (json as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map)) throw badIndex(where, "it has no weight_map");
  const entries = Object.entries(map as Record<string, unknown>);
  if (entries.length === 0) throw badIndex(where, "its weight_map is empty");
  for (const [name, file] of entries) {
    // Shards lie beside the index: anything else could point out of the folder.
    if (typeof file !== "string" || !/^[^/\\:?#]+\.safetensors$/.test(file)) {
      throw badIndex(
        where,
        `tensor "${name}" is said to be in ${show(file)}, not in a safetensors file beside the index`,
      );
    }
  }
  return new Map(entries as [string, string][]);
}

function missingShard(source: FileSource, file: string, shardOf: ReadonlyMap<string, string>): SluiceError {
  const count = [...shardOf.values()].filter((other) => other === file).length;
  return new SluiceError(
    "not_found",
    `${source.describe(file)} is not there, but ${INDEX} says that it holds ${count} of the ${shardOf.size} tensors`,
    { hint: "Download the missing file into the same folder." },
  );
}

function badIndex(where: string, problem: string): SluiceError {
  return new SluiceError("bad_file", `${where}: ${problem}`, {
    hint: "The index and its shards do not belong together. Download all of them again.",
  });
}
