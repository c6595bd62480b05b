/**
 * Reads Python pickles as data: numbers, texts, lists, dicts, and the arrays of PyTorch and NumPy. It is not an unpickler:
 * nothing is run, names of Python are looked up in a fixed list (`globals.ts`), and every other name or instruction is
 * refused. Time and memory stay within a small multiple of the file's size.
 */
import { SluiceError } from "../../errors.ts";
import { showText } from "../../show.ts";
import type { StridedArray } from "../strided.ts";
import { MOST_CONTAINERS, MOST_INTEGER_BYTES, MOST_REMEMBERED, MOST_WAITING } from "./pickle-limits.ts";

/** What a pickle holds. Lists and tuples are both arrays. Parts may be shared, and may contain themselves. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | PickleList
  | PickleDict
  | StridedArray
  | PickledObject
  | PythonName
  | Unfinished;
export type PickleList = PickleValue[];
export type PickleKey = string | number | boolean | null;
export type PickleDict = Map<PickleKey, PickleValue>;

/** An object of a class that is read by its attributes. */
export class PickledObject {
  /** As Python names its class. */
  readonly type: string;
  attributes: PickleDict = new Map();

  constructor(type: string) {
    this.type = type;
  }
}

/** A name of Python that may occur: what calling it makes. */
export class PythonName {
  readonly name: string;
  readonly call: (args: PickleList, reader: PickleReader) => PickleValue;

  constructor(name: string, call: (args: PickleList, reader: PickleReader) => PickleValue) {
    this.name = name;
    this.call = call;
  }
}

/** What is made in two instructions, or means something to the format alone: a dtype, a storage, an array of NumPy. */
export abstract class Unfinished {
  /** Sets its state. */
  build(_state: PickleValue, reader: PickleReader): void {
    throw reader.bad("sets the state of something that has none");
  }

  /** The array that it has become, if it is one. */
  get array(): StridedArray | null {
    return null;
  }
}

/** What the pickles of a format may refer to. */
export interface PickleFormat {
  readonly global: (module: string, name: string) => PythonName | undefined;
  /** Absent: they have no persistent ids. */
  readonly persistentId?: (id: PickleValue, reader: PickleReader) => PickleValue;
}

/** The instruction that ends a pickle. */
const STOP = 0x2e;

const latin1 = new TextDecoder("latin1");
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export class PickleReader {
  /** The next byte: after {@link read}, the first one after the pickle. */
  at: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  /** Names the file in errors. */
  readonly where: string;
  readonly #format: PickleFormat;
  #stack: PickleValue[] = [];
  #marks: number[] = [];
  #memo = new Map<number, PickleValue>();
  #containers = 0;
  /** Bytes that texts may still be turned into: no honest file needs more than it has. */
  #encoded: number;

  /**
   * @param where names the file in errors
   */
  constructor(bytes: Uint8Array, where: string, format: PickleFormat, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.where = where;
    this.#format = format;
    this.#encoded = bytes.length;
    this.at = at;
  }

  /** @throws `bad_file` */
  read(): PickleValue {
    this.#stack = [];
    this.#marks = [];
    this.#memo = new Map();
    for (;;) {
      const begin = this.at;
      const opcode = this.#bytes[this.#take(1)] as number;
      if (opcode === STOP) return this.pop();
      const step = STEPS.get(opcode);
      if (!step) {
        const code = `0x${opcode.toString(16).padStart(2, "0")}`;
        throw this.bad(`holds the pickle instruction ${code} at byte ${begin}, which is not read`);
      }
      step(this);
    }
  }

  bad(problem: string): SluiceError {
    return new SluiceError("bad_file", `${this.where} ${problem}`, {
      hint: "Torch files are read as data and nothing in them is run. Get the file from a trusted place, or save its tensors alone with safetensors.torch.save_file.",
    });
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u16(): number {
    return this.#view.getUint16(this.#take(2), true);
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  i32(): number {
    return this.#view.getInt32(this.#take(4), true);
  }

  u64(): number {
    const at = this.#take(8);
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
  }

  /** Big endian, unlike all else. */
  f64(): number {
    return this.#view.getFloat64(this.#take(8), false);
  }

  bytes(length: number): Uint8Array {
    const begin = this.#take(length);
    return this.#bytes.subarray(begin, begin + length);
  }

  text(length: number): string {
    const bytes = this.bytes(length);
    try {
      return utf8.decode(bytes);
    } catch {
      throw this.bad("holds a text that is not UTF-8");
    }
  }

  /** Python 2's texts, which are bytes. */
  latin(length: number): string {
    return latin1.decode(this.bytes(length));
  }

  line(): string {
    const end = this.#bytes.indexOf(0x0a, this.at);
    if (end < 0) throw this.bad("ends within a name");
    const line = latin1.decode(this.#bytes.subarray(this.at, end));
    this.at = end + 1;
    return line;
  }

  integer(length: number): number | bigint {
    if (length > MOST_INTEGER_BYTES) throw this.bad(`holds an integer of ${length} bytes`);
    let value = 0n;
    const bytes = this.bytes(length);
    for (let i = length - 1; i >= 0; i--) value = (value << 8n) | BigInt(bytes[i] as number);
    if (length > 0 && (bytes[length - 1] as number) >= 0x80) value -= 1n << BigInt(8 * length);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  push(value: PickleValue): void {
    if (this.#stack.length >= MOST_WAITING) throw this.bad(`has more than ${MOST_WAITING} values under way`);
    this.#stack.push(value);
  }

  top(): PickleValue {
    if (this.#stack.length <= (this.#marks.at(-1) ?? 0)) throw this.bad("is a damaged pickle: its stack is empty");
    return this.#stack.at(-1) as PickleValue;
  }

  mark(): void {
    if (this.#marks.length >= MOST_CONTAINERS)
      throw this.bad(`begins more than ${MOST_CONTAINERS} lists within each other`);
    this.#marks.push(this.#stack.length);
  }

  /** What was pushed since the last mark. */
  popMark(): PickleValue[] {
    const mark = this.#marks.pop();
    if (mark === undefined) throw this.bad("is a damaged pickle: a mark is missing");
    return this.#stack.splice(mark);
  }

  /** The last values, in the order in which they were pushed. */
  popLast(count: number): PickleValue[] {
    return Array.from({ length: count }, () => this.pop()).reverse();
  }

  tuple(count: number): void {
    this.container(this.popLast(count));
  }

  /** Pushes a list, tuple or dict. */
  container(value: PickleList | PickleDict): void {
    this.#containers++;
    if (this.#containers > MOST_CONTAINERS) {
      throw this.bad(`holds more than ${MOST_CONTAINERS} lists and dicts, or nests them without end`);
    }
    this.push(value);
  }

  memoize(index: number): void {
    if (this.#memo.size >= MOST_REMEMBERED) throw this.bad(`remembers more than ${MOST_REMEMBERED} values`);
    this.#memo.set(index, this.top());
  }

  memoizeNext(): void {
    this.memoize(this.#memo.size);
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) throw this.bad(`is a damaged pickle: it recalls entry ${index}, which it does not have`);
    this.push(value);
  }

  global(module: string, name: string): void {
    const known = this.#format.global(module, name);
    if (!known) {
      throw this.bad(`names ${showText(`${module}.${name}`, 120)} of Python, which is not on the list of what is read`);
    }
    this.push(known);
  }

  persistentId(): void {
    const id = this.pop();
    const { persistentId } = this.#format;
    if (!persistentId) throw this.bad("is a pickle that refers to data outside itself: torch.save did not write it");
    this.push(persistentId(id, this));
  }

  call(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!(callee instanceof PythonName) || !Array.isArray(args)) throw this.bad("calls what cannot be called");
    this.push(callee.call(args, this));
  }

  build(): void {
    const state = this.pop();
    const target = this.top();
    if (target instanceof PickledObject) {
      if (!(state instanceof Map)) throw this.bad(`has a ${target.type} without attributes`);
      target.attributes = state;
    } else if (target instanceof Unfinished) target.build(state, this);
    // The attributes of a dict, such as the _metadata of a state dict, are of no use here.
    else if (!(target instanceof Map)) throw this.bad("sets attributes of something that has none");
  }

  setItems(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!(target instanceof Map) || items.length % 2 !== 0) throw this.bad("is a damaged pickle: items without a dict");
    for (let i = 0; i < items.length; i += 2) {
      const key = items[i] as PickleValue;
      if (key !== null && typeof key !== "string" && typeof key !== "number" && typeof key !== "boolean") {
        throw this.bad("has a dict whose keys are neither texts nor numbers");
      }
      target.set(key, items[i + 1] as PickleValue);
    }
  }

  append(items: readonly PickleValue[]): void {
    const target = this.top();
    if (!Array.isArray(target)) throw this.bad("is a damaged pickle: items without a list");
    for (const item of items) target.push(item);
  }

  /** Bytes that are written as a text, as protocol 2 does: a character each. */
  encodeLatin(text: string): Uint8Array {
    this.#encoded -= text.length;
    if (this.#encoded < 0) throw this.bad("makes more bytes of texts than it holds");
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code > 0xff) throw this.bad("writes bytes as a text that does not stand for any");
      bytes[i] = code;
    }
    return bytes;
  }

  pop(): PickleValue {
    const value = this.top();
    this.#stack.pop();
    return value;
  }

  #take(length: number): number {
    const begin = this.at;
    if (begin + length > this.#bytes.length) throw this.bad("ends within its pickle");
    this.at = begin + length;
    return begin;
  }
}

/** The instructions that are read, by their codes: those of protocols 2 to 5 that data needs. */
const STEPS: ReadonlyMap<number, (reader: PickleReader) => void> = new Map<number, (reader: PickleReader) => void>([
  // PROTO
  [0x80, (r) => void r.u8()],
  // FRAME
  [0x95, (r) => void r.u64()],
  // GLOBAL
  [0x63, (r) => r.global(r.line(), r.line())],
  // STACK_GLOBAL
  [
    0x93,
    (r) => {
      const name = r.pop();
      const module = r.pop();
      if (typeof name !== "string" || typeof module !== "string") throw r.bad("names something without a name");
      r.global(module, name);
    },
  ],
  // REDUCE, NEWOBJ, BUILD, BINPERSID
  [0x52, (r) => r.call()],
  [0x81, (r) => r.call()],
  [0x62, (r) => r.build()],
  [0x51, (r) => r.persistentId()],
  // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
  [0x71, (r) => r.memoize(r.u8())],
  [0x72, (r) => r.memoize(r.u32())],
  [0x94, (r) => r.memoizeNext()],
  [0x68, (r) => r.recall(r.u8())],
  [0x6a, (r) => r.recall(r.u32())],
  // MARK, POP, POP_MARK
  [0x28, (r) => r.mark()],
  [0x30, (r) => void r.pop()],
  [0x31, (r) => void r.popMark()],
  // NONE, NEWTRUE, NEWFALSE
  [0x4e, (r) => r.push(null)],
  [0x88, (r) => r.push(true)],
  [0x89, (r) => r.push(false)],
  // BININT, BININT1, BININT2, LONG1, LONG4, BINFLOAT
  [0x4a, (r) => r.push(r.i32())],
  [0x4b, (r) => r.push(r.u8())],
  [0x4d, (r) => r.push(r.u16())],
  [0x8a, (r) => r.push(r.integer(r.u8()))],
  [0x8b, (r) => r.push(r.integer(r.u32()))],
  [0x47, (r) => r.push(r.f64())],
  // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8; SHORT_BINSTRING, BINSTRING
  [0x58, (r) => r.push(r.text(r.u32()))],
  [0x8c, (r) => r.push(r.text(r.u8()))],
  [0x8d, (r) => r.push(r.text(r.u64()))],
  [0x55, (r) => r.push(r.latin(r.u8()))],
  [0x54, (r) => r.push(r.latin(r.u32()))],
  // BINBYTES, SHORT_BINBYTES, BINBYTES8
  [0x42, (r) => r.push(r.bytes(r.u32()))],
  [0x43, (r) => r.push(r.bytes(r.u8()))],
  [0x8e, (r) => r.push(r.bytes(r.u64()))],
  // EMPTY_TUPLE, TUPLE1, TUPLE2, TUPLE3, TUPLE
  [0x29, (r) => r.container([])],
  [0x85, (r) => r.tuple(1)],
  [0x86, (r) => r.tuple(2)],
  [0x87, (r) => r.tuple(3)],
  [0x74, (r) => r.container(r.popMark())],
  // EMPTY_LIST, LIST, APPEND, APPENDS
  [0x5d, (r) => r.container([])],
  [0x6c, (r) => r.container(r.popMark())],
  [0x61, (r) => r.append([r.pop()])],
  [0x65, (r) => r.append(r.popMark())],
  // EMPTY_DICT, SETITEM, SETITEMS
  [0x7d, (r) => r.container(new Map())],
  [0x73, (r) => r.setItems(r.popLast(2))],
  [0x75, (r) => r.setItems(r.popMark())],
]);
