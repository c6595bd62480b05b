/** A hub model as a source of files: fetched to the end first, or read while it comes. */
import { noConfig, noWeights } from "../formats/foreign-folder.ts";
import type { FileSource } from "../formats/source.ts";
import { Download } from "./download.ts";
import type { HubOptions } from "./hub-options.ts";
import { HubSource } from "./hub-source.ts";
import { type HubReference, showReference } from "./reference.ts";
import { type Resolution, resolveModel, shardsOf } from "./resolve.ts";

/** A model that is in the store. */
export interface PulledModel {
  readonly commit: string;
  /** The GGUF file that is the model; null for a folder with config.json. */
  readonly gguf: string | null;
  /** The files that the model needs, by their paths. */
  readonly files: readonly string[];
  /** Bytes that were fetched for it now. */
  readonly fetchedBytes: number;
}

/**
 * Fetches what is not in the store.
 * @throws SluiceError `not_found`, `not_written`, `bad_file`, `aborted`
 */
export async function pullModel(reference: HubReference, options: HubOptions): Promise<PulledModel> {
  let fetchedBytes = 0;
  const onProgress: HubOptions["onProgress"] = (progress) => {
    fetchedBytes = progress.done - progress.kept;
    options.onProgress(progress);
  };
  const resolution = await resolveModel(reference, options);
  const { commit, needed } = resolution;
  await refuseWithoutModel(reference, resolution, options);
  const files = await fetchAll(reference, resolution, { ...options, onProgress });
  return { commit, gguf: needed.gguf, files, fetchedBytes };
}

/**
 * A model whose files can be read as they come. The hub is asked which there are; the download begins when the source is
 * first asked for one, and whoever uses what it gave awaits `settle` before trusting it.
 */
export async function streamModel(reference: HubReference, options: HubOptions): Promise<FileSource> {
  const resolution = await resolveModel(reference, options);
  const { gguf } = resolution.needed;
  if (await isStored(reference, resolution, options)) {
    await options.store.setCommit(reference.repo, reference.revision, resolution.commit);
    return openStored(reference, resolution.commit, gguf, options);
  }
  const source = new HubSource(showReference(reference), () => Download.start(reference, resolution, options));
  return gguf === null ? source : asFolder(source, gguf);
}

/** A model that is in the store, as the folder that it is, or that a GGUF file stands for. */
export async function openStored(
  { repo }: HubReference,
  commit: string,
  gguf: string | null,
  { store }: HubOptions,
): Promise<FileSource> {
  const files = await store.open(repo, commit);
  return gguf === null ? files : asFolder(files, gguf);
}

async function asFolder(files: FileSource, gguf: string): Promise<FileSource> {
  const { openGgufFolder } = await import("../formats/gguf/model-folder.ts");
  return openGgufFolder(files, gguf);
}

/** @returns the files that the model needs */
async function fetchAll(
  reference: HubReference,
  resolution: Resolution,
  options: HubOptions,
): Promise<readonly string[]> {
  const download = await Download.start(reference, resolution, options);
  try {
    await download.finished(options.signal);
    return download.paths;
  } finally {
    await download.close();
  }
}

/** @throws SluiceError `not_found` that says what a repository holds instead of a model */
async function refuseWithoutModel(reference: HubReference, resolution: Resolution, options: HubOptions): Promise<void> {
  const { small, weights, index, gguf } = resolution.needed;
  if (gguf !== null) return;
  const source = new HubSource(showReference(reference), () => Download.start(reference, resolution, options));
  try {
    if (weights.length === 0 && index === null) {
      throw await noWeights(source, "neither safetensors nor GGUF weights", options.signal);
    }
    // An adapter's configuration has another name.
    if (!small.some((path) => /^(?:adapter_)?config\.json$/.test(path))) throw await noConfig(source, options.signal);
  } finally {
    await source.close();
  }
}

/** Whether nothing has to be fetched. */
async function isStored(
  { repo }: HubReference,
  { needed, kept, commit, facts }: Resolution,
  { store, signal }: HubOptions,
): Promise<boolean> {
  if (!facts) return true;
  if (needed.weights.length === 0 && needed.index === null) return false;
  if (![...needed.small, ...needed.weights].every((path) => kept.has(path))) return false;
  return needed.index === null || (await shardsOf(store, repo, commit, signal)).every((path) => kept.has(path));
}
