/**
 * A GGUF file as the model's folder that it was made from: config.json, tokenizer.json and the like are made of its
 * metadata, the weights are its tensors. So whatever opens folders opens GGUF files too.
 */
import { SluiceError } from "../../errors.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { widen } from "../half.ts";
import { pythonJson } from "../json.ts";
import { checkRange, endsEarly, type FileSource, readWhole } from "../source.ts";
import { BLOCK_CODECS } from "./blocks.ts";
import { type GgufPart, openGgufCheckpoint } from "./checkpoint.ts";
import { type Architecture, architectureOf, configOf, generationConfigOf } from "./config.ts";
import { type GgufTensor, readTensor } from "./header.ts";
import { Metadata } from "./metadata.ts";
import { partNames } from "./part-names.ts";
import { readParts } from "./parts.ts";
import type { RopeFactors } from "./rope-scaling.ts";
import { hasTokenizer } from "./special-ids.ts";
import { FILE_TYPES } from "./tensor-types.ts";
import { tokenizerConfig, tokenizerJson } from "./tokenizer.ts";

type Json = Readonly<Record<string, unknown>>;

/** The files that are made. */
const MADE = ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"];

/** What is known once the headers have been read. */
interface Opened {
  readonly parts: readonly GgufPart[];
  readonly metadata: Metadata;
  readonly arch: Architecture;
  readonly config: Json;
}

/**
 * @param files the folder or address that holds the file, which is closed with the result
 * @param file its name there; of a model in several parts, any of them
 */
export function openGgufFolder(files: FileSource, file: string): FileSource {
  return new GgufFolder(files, file);
}

class GgufFolder implements FileSource {
  readonly label: string;
  readonly weights: NonNullable<FileSource["weights"]>;
  readonly expect?: NonNullable<FileSource["expect"]>;
  readonly readAhead?: NonNullable<FileSource["readAhead"]>;
  readonly settle?: NonNullable<FileSource["settle"]>;
  readonly #files: FileSource;
  readonly #file: string;
  #opened: Promise<Opened> | undefined;
  /** The made files that were asked for as bytes. */
  readonly #written = new Map<string, Uint8Array<ArrayBuffer>>();

  constructor(files: FileSource, file: string) {
    this.#files = files;
    this.#file = file;
    this.label = files.describe(file);
    if (files.readAhead) this.readAhead = (path, spans, signal) => files.readAhead?.(path, spans, signal);
    if (files.settle) this.settle = async (signal) => files.settle?.(signal);
    if (files.expect) this.expect = (paths, signal, onAnswer) => this.#expect(paths, signal, onAnswer);
    this.weights = {
      open: (signal) => this.#checkpoint(signal),
      files: async (signal) => (await this.#open(signal)).parts.map((part) => part.file),
    };
  }

  describe(path: string): string {
    return MADE.includes(path) ? `${this.label} (as ${path})` : this.#files.describe(path);
  }

  async exists(path: string, signal?: AbortSignal): Promise<boolean> {
    const { metadata, parts } = await this.#open(signal);
    if (path === "tokenizer.json") return metadata.has("tokenizer.huggingface.json") || hasTokenizer(metadata);
    return MADE.includes(path) || parts.some(({ file }) => file === path);
  }

  async json(path: string, signal?: AbortSignal): Promise<unknown> {
    const { metadata, arch, config } = await this.#open(signal);
    switch (path) {
      case "config.json":
        return config;
      case "generation_config.json":
        return generationConfigOf(metadata);
      case "tokenizer.json":
        return tokenizerJson(metadata, arch, config.vocab_size as number);
      case "tokenizer_config.json":
        return tokenizerConfig(metadata, arch);
      default:
        return undefined;
    }
  }

  async size(path: string, signal?: AbortSignal): Promise<number> {
    return (await this.#bytes(path, signal))?.length ?? this.#files.size(path, signal);
  }

  async read(path: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = await this.#bytes(path, signal);
    if (!bytes) return this.#files.read(path, begin, end, signal);
    checkRange(this.describe(path), begin, end);
    if (end > bytes.length) throw endsEarly(this.describe(path), bytes.length, end);
    return bytes.slice(begin, end);
  }

  readAll(path: string, maxBytes?: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return readWhole(this, path, maxBytes, signal);
  }

  isForwardOnly(path: string): boolean {
    return this.#files.isForwardOnly(path);
  }

  async list(folder?: string): Promise<readonly string[]> {
    if (folder !== undefined) return [];
    const { parts } = await this.#open(undefined);
    const made: string[] = [];
    for (const path of MADE) if (await this.exists(path)) made.push(path);
    return [...made, ...parts.map(({ file }) => file)];
  }

  async close(): Promise<void> {
    this.#opened = undefined;
    this.#written.clear();
    await this.#files.close();
  }

  /** A made file; undefined for one of the model's own. */
  async #bytes(path: string, signal: AbortSignal | undefined): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const { parts } = await this.#open(signal);
    if (parts.some(({ file }) => file === path)) return undefined;
    const known = this.#written.get(path);
    if (known) return known;
    const value = await this.json(path, signal);
    if (value === undefined) {
      throw new SluiceError("not_found", `${this.label} holds no ${path}`, {
        hint: "Give the model's folder instead.",
      });
    }
    const bytes = new TextEncoder().encode(`${pythonJson(value)}\n`);
    this.#written.set(path, bytes);
    return bytes;
  }

  /** What is expected of a folder is made of the headers: there is one answer. */
  #expect(paths: readonly string[], signal: AbortSignal | undefined, onAnswer?: (count: number) => void): void {
    this.#files.expect?.(partNames(this.#file), signal);
    // Whoever asks for something reads the headers again if this fails.
    this.#open(signal)
      .then(() => onAnswer?.(paths.length))
      .catch(() => undefined);
  }

  #open(signal: AbortSignal | undefined): Promise<Opened> {
    this.#opened ??= this.#read(signal).catch((error: unknown) => {
      this.#opened = undefined;
      throw error;
    });
    return this.#opened;
  }

  async #read(signal: AbortSignal | undefined): Promise<Opened> {
    const parts = await readParts(this.#files, this.#file, signal);
    const [{ header }] = parts as [GgufPart];
    const metadata = new Metadata(header.metadata, this.label);
    const arch = architectureOf(metadata);
    const tensors = new Map(parts.flatMap((part) => [...part.header.tensors]));
    const factors = await this.#ropeFactors(parts, signal);
    const config = { ...configOf(metadata, arch, tensors, factors), ...quantizationOf(metadata, tensors) };
    return { parts, metadata, arch, config };
  }

  async #ropeFactors(parts: readonly GgufPart[], signal: AbortSignal | undefined): Promise<RopeFactors> {
    const read = async (name: string): Promise<Float32Array | undefined> => {
      for (const { file, header } of parts) {
        const tensor = header.tensors.get(name);
        if (!tensor) continue;
        // Longer ones fit no head, which is reported when the shorter list is read.
        const length = Math.min(tensor.byteLength, MOST_FACTOR_BYTES);
        return widen(tensor.dtype, await readTensor(this.#files, file, header, tensor, 0, length, signal));
      }
      return undefined;
    };
    const all = await read("rope_freqs.weight");
    const short = await read("rope_factors_short.weight");
    const long = await read("rope_factors_long.weight");
    return { ...(all && { all }), ...(short && { short }), ...(long && { long }) };
  }

  async #checkpoint(signal: AbortSignal | undefined): Promise<Checkpoint> {
    const { parts, arch, config } = await this.#open(signal);
    const { hidden_size, num_attention_heads, head_dim } = config as Record<string, number>;
    const width = head_dim ?? (hidden_size as number) / (num_attention_heads as number);
    return openGgufCheckpoint(this, this.label, parts, arch, { head_dim: width });
  }
}

/** More than heads of any width need. */
const MOST_FACTOR_BYTES = 1 << 20;

/** What config.json says of weights that are quantised: the name of their mixture of types. */
function quantizationOf(metadata: Metadata, tensors: ReadonlyMap<string, GgufTensor>): Json {
  const bytes = new Map<string, number>();
  for (const { dtype, byteLength } of tensors.values()) bytes.set(dtype, (bytes.get(dtype) ?? 0) + byteLength);
  const quantized = [...bytes].filter(([dtype]) => BLOCK_CODECS.has(dtype));
  if (quantized.length === 0) return {};
  const [[most] = [""]] = quantized.sort(([, a], [, b]) => b - a);
  const stated = FILE_TYPES.get(metadata.whole("general.file_type") ?? -1);
  return { sluice_quantization: { format: "gguf", type: stated ?? most } };
}
