/** A file of another project: what it is by its first bytes, and its contents, read when they are asked for. */
import { SluiceError } from "../../errors.ts";
import { type GgufFile, parseGguf } from "../../formats/gguf/whole-file.ts";
import { parseJson } from "../../formats/json.ts";
import { isNumpyArray, readNumpyArchive, readNumpyArray } from "../../formats/numpy.ts";
import { foreignFile, RECOGNISED_BYTES } from "../../formats/recognise.ts";
import { headerLength, parseHeader } from "../../formats/safetensors-header.ts";
import { isElementType, StridedArray as Strided, type StridedArray } from "../../formats/strided.ts";
import type { PickleValue } from "../../formats/torch/pickle.ts";
import { isTorchFile, readTorchFile } from "../../formats/torch/torch-file.ts";
import { ZipFile } from "../../formats/zip.ts";
import { refuse } from "../manifest-fields.ts";

/** What a file's contents are read as; null for what no importer reads. */
export type Form = "gguf" | "torch" | "npy" | "npz" | "safetensors" | "json" | "csv" | null;

export class ForeignFile {
  readonly path: string;
  readonly form: Form;
  readonly #bytes: Uint8Array;
  #value: PickleValue | undefined;
  #json: unknown;
  #arrays: ReadonlyMap<string, StridedArray> | undefined;

  constructor(path: string, bytes: Uint8Array) {
    this.path = path;
    this.#bytes = bytes;
    this.form = formOf(bytes, path);
  }

  /** The last part of its path. */
  get base(): string {
    return this.path.replace(/^.*[\\/]/, "");
  }

  /** Reads ahead what can only be read while waiting. */
  async prepare(): Promise<void> {
    if (this.form === "npz") this.#arrays = await readNumpyArchive(this.#bytes, this.path);
  }

  gguf(): GgufFile {
    return parseGguf(this.#bytes, this.path);
  }

  /** A torch file's contents; undefined for another form. */
  get value(): PickleValue | undefined {
    if (this.form !== "torch") return undefined;
    this.#value ??= readTorchFile(this.#bytes, this.path);
    return this.#value;
  }

  /** A JSON file's contents; undefined for another form. */
  get json(): unknown {
    if (this.form !== "json") return undefined;
    this.#json ??= parseJson(this.text(), this.path);
    return this.#json;
  }

  /** The arrays of a .npy, .npz or safetensors file by name, `""` for the only one of .npy; undefined for another form. */
  get arrays(): ReadonlyMap<string, StridedArray> | undefined {
    if (this.form === "npy") this.#arrays ??= new Map([["", readNumpyArray(this.#bytes, this.path)]]);
    if (this.form === "safetensors") this.#arrays ??= safetensorsArrays(this.#bytes, this.path);
    return this.#arrays;
  }

  text(): string {
    return new TextDecoder().decode(this.#bytes);
  }

  /** The error for a file that nothing reads. */
  unknown(): SluiceError {
    return (
      foreignFile(this.#bytes.subarray(0, RECOGNISED_BYTES), "text", this.path) ??
      new SluiceError("bad_file", `${this.path} is of no kind that is imported`, {
        hint: "docs/importing.md lists the kinds.",
      })
    );
  }
}

function formOf(bytes: Uint8Array, path: string): Form {
  const begin = new TextDecoder("latin1").decode(bytes.subarray(0, RECOGNISED_BYTES));
  if (begin.startsWith("GGUF")) return "gguf";
  if (isNumpyArray(bytes)) return "npy";
  if (begin.startsWith("PK")) {
    return new ZipFile(bytes, path).names.some((name) => name.endsWith(".npy")) ? "npz" : "torch";
  }
  if (isTorchFile(bytes)) return "torch";
  if (bytes.length > 10 && bytes[6] === 0 && bytes[7] === 0 && bytes[8] === 0x7b) return "safetensors";
  if (/^\s*[{[]/.test(begin)) return "json";
  return /^[\w"]+(?:,[\w"]+){2,}\s*\n/.test(begin) ? "csv" : null;
}

function safetensorsArrays(bytes: Uint8Array, path: string): ReadonlyMap<string, StridedArray> {
  const length = headerLength(bytes, bytes.length, path);
  const { tensors, metadata } = parseHeader(bytes.subarray(8, 8 + length), bytes.length, path);
  if (metadata.get("format")?.startsWith("sluice.")) {
    throw refuse(path, "format", "says that it is a bundle already", "Use it as it is: --with FILE.");
  }
  const arrays = new Map<string, StridedArray>();
  for (const { name, dtype, shape, begin, end } of tensors.values()) {
    if (!isElementType(dtype)) continue;
    const count = shape.reduce((product, size) => product * size, 1);
    const storage = { dtype, count, isBigEndian: false, bytes: bytes.subarray(begin, end) };
    arrays.set(name, Strided.packed(storage, shape, `${path}: ${name}`));
  }
  return arrays;
}
