/** A model with other weights, as the files of a Hugging Face folder; each is computed while it is read. */
import type { TensorInfo } from "../formats/checkpoint.ts";
import { pythonJson } from "../formats/json.ts";
import { layOut } from "../formats/safetensors.ts";
import { type FileSource, readJson } from "../formats/source.ts";

/** A file of a changed model. */
export interface ModelFile {
  /** `model.safetensors` */
  readonly name: string;
  /** Bytes that {@link read} gives. */
  readonly byteLength: number;
  /** Its bytes in order; a piece may be overwritten by the next. */
  read(signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

/** A model with other weights, to be written as a folder or loaded from its files. */
export interface ChangedModel {
  /** config.json, the weights, and the folder's tokenizer and generation settings. */
  readonly files: readonly ModelFile[];
  /** Closes the source files. */
  close(): Promise<void>;
}

/** Tensors that are computed while they are read, and the fields of config.json that they change; undefined: removed. */
export interface ChangedTensors {
  readonly tensors: ReadonlyMap<string, TensorInfo & { read(signal?: AbortSignal): AsyncIterable<Uint8Array> }>;
  readonly config: Readonly<Record<string, unknown>>;
  /** Of the weights' file; default: what transformers requires. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** Other files that belong to a model: its tokenizer, and its generation settings. */
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
 * The files of a model whose tensors were changed.
 * @param source the folder that they come from
 * @throws SluiceError errors of reading, `aborted`
 */
export async function changedFiles(
  source: FileSource,
  { tensors, config: changes, metadata = { format: "pt" } }: ChangedTensors,
  signal?: AbortSignal,
): Promise<readonly ModelFile[]> {
  const config = (await readJson(source, "config.json", signal)) as Readonly<Record<string, unknown>>;
  const fields = Object.entries({ ...config, ...changes }).filter(([, value]) => value !== undefined);
  const text = `${pythonJson(Object.fromEntries(fields))}\n`;
  const files = [inMemory("config.json", new TextEncoder().encode(text))];
  for (const name of COMPANIONS) {
    if (await source.exists(name, signal)) files.push(inMemory(name, await source.readAll(name, undefined, signal)));
  }
  const { head, names } = layOut([...tensors.values()], metadata);
  const weights: ModelFile = {
    name: "model.safetensors",
    byteLength: [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, head.length),
    async *read(signal) {
      yield head;
      for (const name of names) yield* tensors.get(name)?.read(signal) ?? [];
      // Whoever writes them learns before the end if what was read is not what is there.
      await source.settle?.(signal);
    },
  };
  return [...files, weights];
}

function inMemory(name: string, bytes: Uint8Array): ModelFile {
  return {
    name,
    byteLength: bytes.length,
    async *read() {
      yield bytes;
    },
  };
}
