/** Reads a GGUF file's header from its bytes as far as they have come. Every step is checked against the file's length. */
import { SluiceError } from "../../errors.ts";
import { isUtf8 } from "./utf8.ts";

/** Thrown for bytes that the file has, but that have not been read yet. */
export class Unread extends Error {
  /** The file must be read up to this byte, at least. */
  readonly end: number;

  constructor(end: number) {
    super(`bytes up to ${end} have not been read`);
    this.end = end;
  }
}

export class Cursor {
  /** The next byte. */
  at: number;
  /** Bytes of the whole file. */
  readonly size: number;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #where: string;

  /**
   * @param bytes the file's first bytes
   * @param size bytes of the whole file
   * @param where names the file in errors
   */
  constructor(bytes: Uint8Array, size: number, where: string, at = 0) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.size = size;
    this.#where = where;
    this.at = at;
  }

  u32(): number {
    return this.#view.getUint32(this.take(4), true);
  }

  /** A number up to 2^64, rounded beyond 2^53: no file is that long, so such a length or count is refused all the same. */
  u64(): number {
    const at = this.take(8);
    return this.#view.getUint32(at, true) + this.#view.getUint32(at + 4, true) * 2 ** 32;
  }

  /** Reads the number of following items, of which each takes a minimum of bytes. */
  count(what: string, leastBytes: number): number {
    const count = this.u64();
    if (count * leastBytes <= this.size - this.at) return count;
    throw this.bad(`claims to hold ${count} ${what}, which do not fit in its ${this.size} bytes`);
  }

  string(): string {
    const length = this.u64();
    const begin = this.text(length);
    return utf8.decode(this.#bytes.subarray(begin, begin + length));
  }

  /** Passes a text by. Returns where it begins. */
  text(length: number): number {
    const begin = this.take(length);
    if (isUtf8(this.#bytes, begin, begin + length)) return begin;
    throw this.bad(`holds a text at byte ${begin} that is not UTF-8`);
  }

  /** What `read` makes of the next bytes, which it skips. */
  number(bytes: number, read: (view: DataView, at: number) => number): number {
    return read(this.#view, this.take(bytes));
  }

  /** The next bytes, shared with the header, which it skips. */
  bytes(length: number): Uint8Array {
    const begin = this.take(length);
    return this.#bytes.subarray(begin, begin + length);
  }

  /** The offset of the next bytes, which it skips. */
  take(length: number): number {
    const begin = this.at;
    const end = begin + length;
    if (!(end <= this.size)) throw this.short();
    if (end > this.#bytes.length) throw new Unread(end);
    this.at = end;
    return begin;
  }

  short(): SluiceError {
    return this.bad(`ends after ${this.size} bytes, before its stated contents`);
  }

  bad(problem: string, hint?: string): SluiceError {
    return new SluiceError("bad_file", `${this.#where} ${problem}`, {
      hint: hint ?? "The file is damaged, cut short, or not a GGUF file. Download it again.",
    });
  }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
