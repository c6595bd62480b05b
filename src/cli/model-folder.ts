/** A changed model as a Hugging Face folder, written tensor by tensor and seen only when it is complete. */
import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { SluiceError } from "../errors.ts";
import type { TensorInfo } from "../formats/checkpoint.ts";
import { layOut } from "../formats/safetensors.ts";
import { type FileSource, readJson } from "../formats/source.ts";

/** What a model became: baked, or quantised. */
export interface NewModel {
  readonly tensors: ReadonlyMap<string, TensorInfo & { read(signal?: AbortSignal): AsyncIterable<Uint8Array> }>;
  /** Fields of config.json that these tensors change. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** What else of a model's folder belongs to the model: its tokenizer, and how it generates. */
export const COMPANIONS: readonly string[] = [
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "vocab.json",
  "merges.txt",
  "tokenizer.model",
  "chat_template.jinja",
  "chat_template.json",
  "generation_config.json",
];

/**
 * Makes sure, as far as can be known beforehand, that a folder can be made: it may be there, but only empty.
 * @throws SluiceError `usage` if it cannot
 */
export async function prepareOutFolder(path: string): Promise<void> {
  const target = resolve(path);
  const entries = await readdir(target).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return [];
    if (cause.code === "ENOTDIR") throw new SluiceError("usage", `${path} is a file; name a new folder`, { cause });
    throw new SluiceError("usage", `${path} cannot be written: ${cause.message}`, { cause });
  });
  if (entries.length > 0) {
    throw new SluiceError("usage", `${path} is a folder that is not empty`, { hint: "Name a new folder." });
  }
  await readdir(dirname(target)).catch((cause: Error) => {
    throw new SluiceError("usage", `${path} cannot be written: ${cause.message}`, { cause });
  });
}

/**
 * @param files the model's own folder
 * @param onProgress bytes of weights written so far, and in all
 * @throws SluiceError `not_written` if the disk refuses, `aborted`
 */
export async function writeModelFolder(
  path: string,
  files: FileSource,
  model: NewModel,
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<void> {
  const target = resolve(path);
  const fresh = join(dirname(target), `.${basename(target)}.${process.pid}.part`);
  await refuseOf(path, mkdir(fresh));
  try {
    const config = (await readJson(files, "config.json", signal)) as Record<string, unknown>;
    const text = `${JSON.stringify({ ...config, ...model.config }, null, 2)}\n`;
    await refuseOf(path, writeFile(join(fresh, "config.json"), text));
    for (const name of COMPANIONS) {
      if (!(await files.exists(name, signal))) continue;
      const bytes = await files.readAll(name, undefined, signal);
      await refuseOf(path, writeFile(join(fresh, name), bytes));
    }
    const handle = await refuseOf(path, open(join(fresh, "model.safetensors"), "w"));
    try {
      await writeWeights(path, handle, model, onProgress, signal);
    } finally {
      await handle.close();
    }
    await refuseOf(path, takePlace(fresh, target));
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw error;
  }
}

/** An empty folder of that name gives way. */
async function takePlace(fresh: string, target: string): Promise<void> {
  await rmdir(target).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "ENOENT") throw cause;
  });
  await rename(fresh, target);
}

async function writeWeights(
  path: string,
  handle: FileHandle,
  { tensors }: NewModel,
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<void> {
  // Transformers asks for this entry before it reads a file.
  const { head, names } = layOut([...tensors.values()], { format: "pt" });
  const total = [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
  await refuseOf(path, handle.writeFile(head));
  let done = 0;
  for (const name of names) {
    for await (const bytes of tensors.get(name)?.read(signal) ?? []) {
      // On a handle, writeFile goes on from where the last one ended.
      await refuseOf(path, handle.writeFile(bytes));
      done += bytes.length;
      onProgress(done, total);
    }
  }
}

async function refuseOf<T>(path: string, work: Promise<T>): Promise<T> {
  return work.catch((cause: Error) => {
    throw new SluiceError("not_written", `${path} cannot be written: ${cause.message}`, { cause });
  });
}
