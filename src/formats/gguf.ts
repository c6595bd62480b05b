/**
 * Reads small GGUF files whole: typed metadata and float tensors. Everything is bounds-checked.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import { foreignFile, RECOGNISED_BYTES } from "./recognise.ts";
import type { StoredTensor } from "./safetensors.ts";

export interface GgufFile {
  /** Numbers beyond 2^53 are rounded; lists of numbers are typed arrays, lists of booleans are arrays of 0 and 1. */
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

/** Maximum depth of lists within lists. */
const MOST_DEPTH = 4;

/** Maximum number of texts and lists in metadata lists, in all: more than twice any vocabulary. */
const MOST_ITEMS = 1 << 21;

/** Maximum characters of a name: the format's bound for keys. */
const MOST_NAME = 0xffff;

const MOST_AXES = 8;

/** Bytes that the shortest field and the shortest tensor take: what a file claims to contain must fit in it. */
const LEAST_FIELD = 8 + 4 + 1;
const LEAST_TENSOR = 8 + 4 + 4 + 8;

interface TensorEntry {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly offset: number;
  readonly length: number;
}

/**
 * @param where names the file in errors
 * @throws `bad_file` for a damaged file, a version other than 2 and 3, repeated names, tensors that overlap or are not
 *   F32, F16 or BF16
 */
export function parseGguf(file: Uint8Array, where: string): GgufFile {
  const foreign = foreignFile(file.subarray(0, RECOGNISED_BYTES), "gguf", where);
  if (foreign) throw foreign;
  const reader = new GgufReader(file, where);
  if (reader.u32() !== 0x46554747) throw reader.bad("does not begin with GGUF");
  const version = reader.u32();
  if (version === 0x03000000) throw reader.bad("is a GGUF file for big-endian machines, which are not supported");
  if (version !== 2 && version !== 3) throw reader.bad(`is GGUF version ${version}; 2 and 3 are read`);
  const tensorCount = reader.count("tensors", LEAST_TENSOR);
  const fieldCount = reader.count("metadata fields", LEAST_FIELD);
  const metadata = new Map<string, unknown>();
  for (let i = 0; i < fieldCount; i++) {
    const key = reader.name();
    if (metadata.has(key)) throw reader.bad(`holds metadata ${show(key)} twice`);
    metadata.set(key, reader.value(reader.u32(), 0));
  }
  const entries = new Map<string, TensorEntry>();
  for (let i = 0; i < tensorCount; i++) {
    const entry = readEntry(reader);
    if (entries.has(entry.name)) throw reader.bad(`holds tensor ${show(entry.name)} twice`);
    entries.set(entry.name, entry);
  }
  const alignment = metadata.get("general.alignment") ?? 32;
  if (typeof alignment !== "number" || !Number.isInteger(Math.log2(alignment)) || alignment > MOST_NAME) {
    throw reader.bad(`has alignment ${show(alignment)}, not a power of two`);
  }
  const data = Math.ceil(reader.at / alignment) * alignment;
  checkApart([...entries.values()], reader);
  const tensors = new Map<string, StoredTensor>();
  for (const { name, dtype, shape, offset, length } of entries.values()) {
    tensors.set(name, { dtype, shape, bytes: reader.bytes(data + offset, length) });
  }
  return { metadata, tensors };
}

function readEntry(reader: GgufReader): TensorEntry {
  const name = reader.name();
  const axes = reader.u32();
  if (axes > MOST_AXES) throw reader.bad(`holds tensor ${show(name)} of ${axes} axes`);
  const shape = Array.from({ length: axes }, () => reader.u64()).reverse();
  const type = reader.u32();
  const dtype = DTYPES.get(type);
  if (dtype === undefined) {
    throw reader.bad(`holds tensor ${show(name)} of ggml type ${type}; F32, F16 and BF16 are read`);
  }
  const length = shape.reduce((product, size) => product * size, dtype === "F32" ? 4 : 2);
  const offset = reader.u64();
  if (!(length <= reader.length && offset <= reader.length)) {
    throw reader.bad(`holds tensor ${show(name)} of ${length} bytes at ${offset}, which is more than the file`);
  }
  return { name, shape, dtype, offset, length };
}

/** Checks that no byte belongs to two tensors, so that together they are no larger than the file. */
function checkApart(entries: readonly TensorEntry[], reader: GgufReader): void {
  const sorted = entries.filter(({ length }) => length > 0).sort((a, b) => a.offset - b.offset);
  sorted.forEach(({ name, offset }, i) => {
    const before = sorted[i - 1];
    if (!before || before.offset + before.length <= offset) return;
    throw reader.bad(`holds tensors ${show(before.name)} and ${show(name)} in the same place`);
  });
}
class GgufReader {
  at = 0;
  readonly #file: Uint8Array;
  readonly #view: DataView;
  readonly #where: string;
  /** Number of texts and lists in lists so far. */
  #items = 0;

  constructor(file: Uint8Array, where: string) {
    this.#file = file;
    this.#view = new DataView(file.buffer, file.byteOffset, file.byteLength);
    this.#where = where;
  }

  /** Bytes of the file. */
  get length(): number {
    return this.#file.length;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  u64(): number {
    return Number(this.#view.getBigUint64(this.#take(8), true));
  }

  /** Reads the number of following items, of which each takes a minimum of bytes. */
  count(what: string, leastBytes: number): number {
    const count = this.u64();
    if (count * leastBytes <= this.length - this.at) return count;
    throw this.bad(`claims to hold ${count} ${what}, which do not fit in its ${this.length} bytes`);
  }

  name(): string {
    const name = this.string();
    if (name.length > MOST_NAME) throw this.bad(`holds a name of ${name.length} characters, ${show(name)}`);
    return name;
  }

  string(): string {
    const length = this.u64();
    const begin = this.#take(length);
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(
        this.#file.subarray(begin, begin + length),
      );
    } catch (cause) {
      throw this.bad(`holds a text at byte ${begin} that is not UTF-8`, cause);
    }
  }

  /** A metadata value, by GGUF's number of its type. */
  value(type: number, depth: number): unknown {
    if (type === 8) return this.string();
    if (type === 9) return this.#list(depth);
    const number = NUMBERS.get(type);
    if (!number) throw this.bad(`holds metadata of type ${type}, which GGUF does not know`);
    const value = number.read(this.#view, this.#take(number.bytes));
    return type === 7 ? value !== 0 : value;
  }

  /** Numbers become a typed array, so that they take no more room than in the file. */
  #list(depth: number): ArrayLike<unknown> {
    if (depth >= MOST_DEPTH) throw this.bad("nests its metadata too deep");
    const type = this.u32();
    const number = NUMBERS.get(type);
    if (number) {
      const count = this.count("numbers of a list", number.bytes);
      const begin = this.#take(count * number.bytes);
      const list = new number.List(count);
      for (let i = 0; i < count; i++) list[i] = number.read(this.#view, begin + i * number.bytes);
      return list;
    }
    if (type !== 8 && type !== 9) throw this.bad(`holds metadata of type ${type}, which GGUF does not know`);
    const count = this.count("items of a list", 8);
    this.#items += count;
    if (this.#items > MOST_ITEMS) throw this.bad(`holds more than ${MOST_ITEMS} texts and lists in its metadata`);
    const list: unknown[] = [];
    for (let i = 0; i < count; i++) list.push(this.value(type, depth + 1));
    return list;
  }

  /** A copy that starts its own buffer. */
  bytes(begin: number, length: number): Uint8Array {
    if (!(begin + length <= this.length)) throw this.#short();
    return new Uint8Array(this.#file.subarray(begin, begin + length));
  }

  /** The offset of the next bytes, which it skips. */
  #take(length: number): number {
    const begin = this.at;
    if (!(begin + length <= this.length)) throw this.#short();
    this.at += length;
    return begin;
  }

  #short(): SluiceError {
    return this.bad(`ends after ${this.length} bytes, before its stated contents`);
  }

  bad(problem: string, cause?: unknown): SluiceError {
    return new SluiceError("bad_file", `${this.#where} ${problem}`, {
      hint: "The file is damaged, cut short, or not a GGUF file of floats.",
      cause,
    });
  }
}

/** How numbers in metadata are read, by GGUF's type numbers, and the typed array that holds a list of them without loss. */
const NUMBERS: ReadonlyMap<
  number,
  {
    readonly bytes: number;
    readonly List: new (count: number) => { [index: number]: number; readonly length: number };
    read(view: DataView, at: number): number;
  }
> = new Map([
  [0, { bytes: 1, List: Uint8Array, read: (view: DataView, at: number) => view.getUint8(at) }],
  [1, { bytes: 1, List: Int8Array, read: (view: DataView, at: number) => view.getInt8(at) }],
  [2, { bytes: 2, List: Uint16Array, read: (view: DataView, at: number) => view.getUint16(at, true) }],
  [3, { bytes: 2, List: Int16Array, read: (view: DataView, at: number) => view.getInt16(at, true) }],
  [4, { bytes: 4, List: Uint32Array, read: (view: DataView, at: number) => view.getUint32(at, true) }],
  [5, { bytes: 4, List: Int32Array, read: (view: DataView, at: number) => view.getInt32(at, true) }],
  [6, { bytes: 4, List: Float32Array, read: (view: DataView, at: number) => view.getFloat32(at, true) }],
  [7, { bytes: 1, List: Uint8Array, read: (view: DataView, at: number) => (view.getUint8(at) === 0 ? 0 : 1) }],
  [10, { bytes: 8, List: Float64Array, read: (view: DataView, at: number) => Number(view.getBigUint64(at, true)) }],
  [11, { bytes: 8, List: Float64Array, read: (view: DataView, at: number) => Number(view.getBigInt64(at, true)) }],
  [12, { bytes: 8, List: Float64Array, read: (view: DataView, at: number) => view.getFloat64(at, true) }],
]);
