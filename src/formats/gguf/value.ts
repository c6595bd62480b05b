/** Metadata values of GGUF. A list of numbers takes the room that it has in the file, and so does a list of texts. */
import type { Cursor } from "./cursor.ts";

/** Numbers beyond 2^53 are rounded. */
export type MetadataValue = number | boolean | string | MetadataList;
export type MetadataList = ArrayLike<number> | Texts | readonly MetadataValue[];

/** Maximum depth of lists within lists. */
const MOST_DEPTH = 4;

/** Maximum number of items in metadata lists, in all: more than any vocabulary has with its scores, types and merges. */
const MOST_ITEMS = 1 << 21;

/** A list within a list takes the memory of this many numbers or texts. */
const LIST_WEIGHT = 32;

/** GGUF's numbers of types that are not numbers. */
const BOOLEAN = 7;
const TEXT = 8;
const LIST = 9;

/** A list of texts that are decoded when they are asked for: commands that need no tokenizer decode none. */
export class Texts {
  readonly length: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Where each text begins. Its length is in the eight bytes before it, of which the last four are zeros. */
  readonly #begins: Uint32Array;

  /** @param bytes of the list: before each text its length, of 8 bytes */
  constructor(bytes: Uint8Array, begins: Uint32Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#begins = begins;
    this.length = begins.length;
  }

  at(index: number): string {
    const begin = this.#begins[index] as number;
    return utf8.decode(this.#bytes.subarray(begin, begin + this.#view.getUint32(begin - 8, true)));
  }

  /** All of them, decoded. */
  all(): string[] {
    return Array.from({ length: this.length }, (_, index) => this.at(index));
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Counts the items of all lists of a file. */
export interface ItemCount {
  items: number;
}

/**
 * Reads a value, by GGUF's number of its type.
 * @param count is added to
 * @throws SluiceError `bad_file`; {@link Unread}
 */
export function readValue(cursor: Cursor, type: number, count: ItemCount, depth = 0): MetadataValue {
  if (type === TEXT) return cursor.string();
  if (type === LIST) return readList(cursor, count, depth);
  const number = NUMBERS.get(type);
  if (!number) throw unknownType(cursor, type);
  const value = cursor.number(number.bytes, number.read);
  return type === BOOLEAN ? value !== 0 : value;
}

function readList(cursor: Cursor, count: ItemCount, depth: number): MetadataList {
  if (depth >= MOST_DEPTH) throw cursor.bad("nests its metadata too deep");
  const type = cursor.u32();
  const number = NUMBERS.get(type);
  if (number) {
    const length = countItems(cursor, count, "numbers of a list", number.bytes);
    const bytes = cursor.bytes(length * number.bytes);
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const list = new number.List(length);
    for (let i = 0; i < length; i++) list[i] = number.read(view, i * number.bytes);
    return list;
  }
  if (type !== TEXT && type !== LIST) throw unknownType(cursor, type);
  if (type === TEXT) return readTexts(cursor, countItems(cursor, count, "texts of a list", 8));
  const length = countItems(cursor, count, "lists of a list", 12, LIST_WEIGHT);
  const list: MetadataValue[] = [];
  for (let i = 0; i < length; i++) list.push(readList(cursor, count, depth + 1));
  return list;
}

function countItems(cursor: Cursor, count: ItemCount, what: string, leastBytes: number, weight = 1): number {
  const length = cursor.count(what, leastBytes);
  count.items += length * weight;
  if (count.items <= MOST_ITEMS) return length;
  throw cursor.bad(`holds more than ${MOST_ITEMS} items in its metadata, or lists in lists`);
}

function readTexts(cursor: Cursor, count: number): Texts {
  const { at } = cursor;
  const begins = new Uint32Array(count);
  for (let i = 0; i < count; i++) begins[i] = cursor.text(cursor.u64()) - at;
  const end = cursor.at;
  cursor.at = at;
  return new Texts(cursor.bytes(end - at), begins);
}

function unknownType(cursor: Cursor, type: number): Error {
  return cursor.bad(`holds metadata of type ${type}, which GGUF does not know`);
}

/** How numbers are read, by GGUF's type numbers, and the typed array that holds a list of them without loss. */
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
