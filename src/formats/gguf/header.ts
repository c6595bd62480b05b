/**
 * The header of a GGUF file: its metadata, and where its tensors are. Everything is checked against the file's length
 * before it is read or allocated. Only the header is read, in pieces, since nothing says in advance how long it is.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */
import { show } from "../../show.ts";
import type { TensorInfo } from "../checkpoint.ts";
import { foreignFile, RECOGNISED_BYTES } from "../recognise.ts";
import type { FileSource } from "../source.ts";
import { Cursor, Unread } from "./cursor.ts";
import { TENSOR_TYPES } from "./tensor-types.ts";
import { type ItemCount, type MetadataValue, readValue } from "./value.ts";

/** A tensor, and the position of its bytes. */
export interface GgufTensor extends TensorInfo {
  /** Row-major: the last axis is the adjacent one. */
  readonly shape: readonly number[];
  /** Bytes from the start of the file. */
  readonly begin: number;
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** In the order of the file's data. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** The file's first bytes, as far as they were read; at least the header. */
  readonly head: Uint8Array;
}

/** Maximum characters of a key: the format's bound. */
const MOST_KEY = 0xffff;

/** ggml keeps 63 bytes of a tensor's name; other writers may be more generous. */
const MOST_NAME = 1024;

/** Those of ggml. */
const MOST_AXES = 4;

/** Bytes that the shortest field and the shortest tensor take: what a file claims to contain must fit in it. */
const LEAST_FIELD = 8 + 4 + 1;
const LEAST_TENSOR = 8 + 4 + 4 + 8;

/** Maximum number of tensors, and of fields: ten times what the largest models have. */
const MOST_ENTRIES = 1 << 15;

/** Maximum bytes of a header. The longest known, of vocabularies of 260,000 tokens with their merges, have 20 MB. */
const MOST_HEADER = 64 << 20;

/** Bytes of the first read: all of the header of a file with a small vocabulary. */
const FIRST_READ = 256 << 10;

/**
 * Reads the header of a file.
 * @throws `bad_file` for a file that is damaged or not GGUF, in a version other than 2 and 3, with repeated names, or
 *   with tensors that overlap or are not in the file
 */
export async function readGgufHeader(source: FileSource, path: string, signal?: AbortSignal): Promise<GgufHeader> {
  const size = await source.size(path, signal);
  const parser = new HeaderParser(size, source.describe(path));
  let head = new Uint8Array(0);
  for (let wanted = Math.min(size, FIRST_READ); ; wanted = Math.min(size, parser.wanted)) {
    const longer = new Uint8Array(wanted);
    longer.set(head);
    longer.set(await source.read(path, head.length, wanted, signal), head.length);
    head = longer;
    const header = parser.parse(head);
    if (header) return header;
  }
}

/** The header of a file that is in memory. */
export function parseGgufHeader(file: Uint8Array, where: string): GgufHeader {
  return new HeaderParser(file.length, where).parse(file) as GgufHeader;
}

/**
 * Bytes [begin, end) of a tensor's data. What was read with the header is not read again: from a server that only sends
 * whole files, that would be another download.
 */
export async function readTensor(
  source: FileSource,
  file: string,
  { head }: GgufHeader,
  tensor: GgufTensor,
  begin: number,
  end: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array<ArrayBuffer>> {
  const first = tensor.begin + begin;
  const last = tensor.begin + end;
  if (first >= head.length) return source.read(file, first, last, signal);
  const bytes = new Uint8Array(end - begin);
  bytes.set(head.subarray(first, Math.min(last, head.length)));
  if (last > head.length) bytes.set(await source.read(file, head.length, last, signal), head.length - first);
  return bytes;
}

class HeaderParser {
  /** How much of the file the next call needs. */
  wanted = 0;
  readonly #size: number;
  readonly #where: string;
  readonly #metadata = new Map<string, MetadataValue>();
  readonly #tensors: GgufTensor[] = [];
  readonly #names = new Set<string>();
  /** Items of lists in the fields so far. */
  #items = 0;
  #fieldCount: number | undefined;
  #tensorCount = 0;
  /** The first byte that was not understood yet. */
  #at = 0;

  constructor(size: number, where: string) {
    this.#size = size;
    this.#where = where;
  }

  /**
   * Goes on with the file's first bytes, which are more than at the last call.
   * @returns undefined if these are not enough
   */
  parse(head: Uint8Array): GgufHeader | undefined {
    const cursor = new Cursor(head, this.#size, this.#where, this.#at);
    try {
      if (this.#fieldCount === undefined) this.#begin(cursor, head);
      for (; this.#metadata.size < (this.#fieldCount ?? 0); this.#at = cursor.at) this.#field(cursor);
      for (; this.#tensors.length < this.#tensorCount; this.#at = cursor.at) this.#tensor(cursor);
    } catch (error) {
      if (!(error instanceof Unread)) throw error;
      if (error.end > MOST_HEADER) throw cursor.bad(`has a header of more than ${MOST_HEADER} bytes`);
      this.wanted = Math.min(MOST_HEADER, Math.max(error.end, nextRead(head.length)));
      return undefined;
    }
    return { metadata: this.#metadata, tensors: this.#placed(cursor), head };
  }

  #begin(cursor: Cursor, head: Uint8Array): void {
    const foreign = foreignFile(head.subarray(0, RECOGNISED_BYTES), "gguf", this.#where);
    if (foreign) throw foreign;
    if (cursor.u32() !== 0x46554747) throw cursor.bad("does not begin with GGUF");
    const version = cursor.u32();
    if (version === 0x03000000) throw cursor.bad("is a GGUF file for big-endian machines, which are not supported");
    if (version !== 2 && version !== 3) throw cursor.bad(`is GGUF version ${version}; 2 and 3 are read`);
    const tensorCount = cursor.count("tensors", LEAST_TENSOR);
    const fieldCount = cursor.count("metadata fields", LEAST_FIELD);
    if (tensorCount > MOST_ENTRIES) throw cursor.bad(`holds ${tensorCount} tensors; ${MOST_ENTRIES} at most are read`);
    if (fieldCount > MOST_ENTRIES)
      throw cursor.bad(`holds ${fieldCount} metadata fields; ${MOST_ENTRIES} at most are read`);
    this.#tensorCount = tensorCount;
    this.#fieldCount = fieldCount;
    this.#at = cursor.at;
  }

  #field(cursor: Cursor): void {
    const key = cursor.string();
    if (key.length > MOST_KEY) throw cursor.bad(`holds a key of ${key.length} characters, ${show(key)}`);
    if (this.#metadata.has(key)) throw cursor.bad(`holds metadata ${show(key)} twice`);
    // Counted when the field is complete: a field that is not goes through this again.
    const count: ItemCount = { items: this.#items };
    this.#metadata.set(key, readValue(cursor, cursor.u32(), count));
    this.#items = count.items;
  }

  #tensor(cursor: Cursor): void {
    const name = cursor.string();
    if (name === "") throw cursor.bad("holds a tensor without a name");
    if (name.length > MOST_NAME) throw cursor.bad(`holds a tensor whose name has ${name.length} characters`);
    if (this.#names.has(name)) throw cursor.bad(`holds tensor ${show(name)} twice`);
    const axes = cursor.u32();
    if (axes > MOST_AXES) throw cursor.bad(`holds tensor ${show(name)} of ${axes} axes`);
    const shape: number[] = [];
    for (let axis = 0; axis < axes; axis++) shape.unshift(cursor.u64());
    const number = cursor.u32();
    const type = TENSOR_TYPES.get(number);
    if (!type) throw cursor.bad(`holds tensor ${show(name)} of ggml type ${number}, which is not known`);
    const elements = shape.reduce((product, length) => product * length, 1);
    if ((shape.at(-1) ?? 1) % type.block !== 0) {
      const row = `rows of ${shape.at(-1) ?? 1}, not of whole blocks of ${type.block}`;
      throw cursor.bad(`holds tensor ${show(name)} of ${type.name} with ${row}`);
    }
    const byteLength = (elements / type.block) * type.bytes;
    const begin = cursor.u64();
    if (!(byteLength <= this.#size && begin <= this.#size)) {
      throw cursor.bad(`holds tensor ${show(name)} of ${byteLength} bytes at ${begin}, which is more than the file`);
    }
    this.#names.add(name);
    this.#tensors.push({ name, dtype: type.name, shape, byteLength, begin });
  }

  /** The tensors at their places in the file, whose data no other tensor shares: together they fit into the file. */
  #placed(cursor: Cursor): ReadonlyMap<string, GgufTensor> {
    const alignment = this.#metadata.get("general.alignment") ?? 32;
    if (typeof alignment !== "number" || !Number.isInteger(Math.log2(alignment)) || alignment > 0xffff) {
      throw cursor.bad(`has alignment ${show(alignment)}, not a power of two`);
    }
    const data = Math.ceil(cursor.at / alignment) * alignment;
    const sorted = [...this.#tensors].sort((a, b) => a.begin - b.begin || a.byteLength - b.byteLength);
    let last: GgufTensor | undefined;
    const tensors = new Map<string, GgufTensor>();
    for (const tensor of sorted) {
      const { name, begin, byteLength } = tensor;
      if (begin % alignment !== 0) {
        throw cursor.bad(`holds tensor ${show(name)} at ${begin}, not at a multiple of ${alignment}`);
      }
      if (last && begin < last.begin + last.byteLength) {
        throw cursor.bad(`holds tensors ${show(last.name)} and ${show(name)} in the same place`);
      }
      if (!(data + begin + byteLength <= this.#size)) throw cursor.short();
      tensors.set(name, { ...tensor, begin: data + begin });
      last = tensor;
    }
    return tensors;
  }
}

/** Four times as much, while that is little: a distant file takes one request for each read. */
function nextRead(length: number): number {
  return length < 4 << 20 ? length * 4 : length * 2;
}
