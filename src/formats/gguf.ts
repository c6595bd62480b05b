/**
 * GGUF files as a whole, as far as small ones need: typed metadata and float tensors. Everything is bounds-checked.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { SluiceError } from "../errors.ts";
import { foreignFile, RECOGNISED_BYTES } from "./recognise.ts";
import type { StoredTensor } from "./safetensors.ts";

export interface GgufFile {
  /** Numbers beyond 2^53 are rounded. */
  readonly metadata: ReadonlyMap<string, unknown>;
  /** Shapes row-major: the last axis is the adjacent one. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
}

/** ggml's numbers for the float types. */
const DTYPES: ReadonlyMap<number, string> = new Map([
  [0, "F32"],
  [1, "F16"],
  [30, "BF16"],
]);

/** Lists within lists, as deep as anyone nests them. */
const MOST_DEPTH = 4;

/**
 * @param where names the file in errors
 * @throws `bad_file` for a damaged file, another version than 2 and 3, or tensors that are not F32, F16 or BF16
 */
export function parseGguf(file: Uint8Array, where: string): GgufFile {
  const foreign = foreignFile(file.subarray(0, RECOGNISED_BYTES), "gguf", where);
  if (foreign) throw foreign;
  const reader = new Reader(file, where);
  if (reader.u32() !== 0x46554747) throw reader.bad("does not begin with GGUF");
  const version = reader.u32();
  if (version !== 2 && version !== 3) throw reader.bad(`is GGUF version ${version}; 2 and 3 are read`);
  const tensorCount = reader.u64();
  const fieldCount = reader.u64();
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < fieldCount; i++) metadata.set(reader.string(), reader.value(reader.u32(), 0));
  const infos: { name: string; shape: number[]; dtype: string; offset: number }[] = [];
  for (let i = 0; i < tensorCount; i++) {
    const name = reader.string();
    const axes = reader.u32();
    if (axes > 8) throw reader.bad(`holds tensor "${name}" of ${axes} axes`);
    const shape = Array.from({ length: axes }, () => reader.u64()).reverse();
    const type = reader.u32();
    const dtype = DTYPES.get(type);
    if (dtype === undefined)
      throw reader.bad(`holds tensor "${name}" of ggml type ${type}; F32, F16 and BF16 are read`);
    infos.push({ name, shape, dtype, offset: reader.u64() });
  }
  const alignment = metadata.get("general.alignment") ?? 32;
  if (typeof alignment !== "number" || alignment < 1) throw reader.bad(`has alignment ${String(alignment)}`);
  const data = Math.ceil(reader.at / alignment) * alignment;
  const tensors = new Map<string, StoredTensor>();
  for (const { name, shape, dtype, offset } of infos) {
    const length = shape.reduce((product, size) => product * size, dtype === "F32" ? 4 : 2);
    if (tensors.has(name)) throw reader.bad(`holds tensor "${name}" twice`);
    tensors.set(name, { dtype, shape, bytes: reader.bytes(data + offset, length) });
  }
  return { metadata, tensors };
}

class Reader {
  at = 0;
  readonly #file: Uint8Array;
  readonly #view: DataView;
  readonly #where: string;

  constructor(file: Uint8Array, where: string) {
    this.#file = file;
    this.#view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    this.#where = where;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true));
  }

  string(): string {
    const length = this.u64();
    const begin = this.#take(length);
    return new TextDecoder().decode(this.#file.subarray(begin, begin + length));
  }

  /** A metadata value, by GGUF's number of its type. */
  value(type: number, depth: number): unknown {
    const view = this.#view;
    switch (type) {
      case 0:
        return view.getUint8(this.#take(1));
      case 1:
        return view.getInt8(this.#take(1));
      case 2:
        return view.getUint16(this.#take(2), true);
      case 3:
        return view.getInt16(this.#take(2), true);
      case 4:
        return this.u32();
      case 5:
        return view.getInt32(this.#take(4), true);
      case 6:
        return view.getFloat32(this.#take(4), true);
      case 7:
        return view.getUint8(this.#take(1)) !== 0;
      case 8:
        return this.string();
      case 9:
        return this.#list(depth);
      case 10:
        return this.u64();
      case 11:
        return Number(view.getBigInt64(this.#take(8), true));
      case 12:
        return view.getFloat64(this.#take(8), true);
      default:
        throw this.bad(`holds metadata of type ${type}, which GGUF does not know`);
    }
  }

  #list(depth: number): readonly unknown[] {
    if (depth >= MOST_DEPTH) throw this.bad("nests its metadata too deep");
    const type = this.u32();
    const count = this.u64();
    const list: unknown[] = [];
    // A lying count ends where the file does: every item takes at least a byte.
    for (let i = 0; i < count; i++) list.push(this.value(type, depth + 1));
    return list;
  }

  /** A copy that starts its own buffer. */
  bytes(begin: number, length: number): Uint8Array {
    if (!(begin + length <= this.#file.length)) throw this.#short();
    return new Uint8Array(this.#file.subarray(begin, begin + length));
  }

  /** Where the next so many bytes begin. */
  #take(length: number): number {
    const begin = this.at;
    if (!(begin + length <= this.#file.length)) throw this.#short();
    this.at += length;
    return begin;
  }

  #short(): SluiceError {
    return this.bad(`ends after ${this.#file.length} bytes, before what it says it holds`);
  }

  bad(problem: string): SluiceError {
    return new SluiceError("bad_file", `${this.#where} ${problem}`, {
      hint: "The file is damaged, cut short, or no GGUF file of floats.",
    });
  }
}
