/**
 * Keeps what a fit has measured, in a file next to its result, in case the fit is interrupted.
 *
 * A header names the inputs, the shape of the rows and, if workers of a queue measured them, their kind of device; then
 * follows one record per row: its float32 values, and 8 bytes of a digest over the inputs, its number and its values. When
 * the file is read again, the first record that is cut off or fails its digest does not count, nor do those after it.
 * Records have fixed places, nothing is cut off, and each run holds the file open while it needs it: two runs of one fit at
 * once do not harm each other, and the first to end removes only the name.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, rm, stat } from "node:fs/promises";
import { SluiceError } from "../errors.ts";
import type { PooledRows } from "../fit/pool.ts";
import type { MeasuredPart, ResponseStore } from "../fit/responses.ts";
import type { Computer } from "../queue/messages.ts";
import { nameOf } from "../queue/same-kind.ts";
import { showSentence } from "../show.ts";
import { noteKept } from "./written.ts";

const MAGIC = Buffer.from("sluice partial 4");
const DIGEST_BYTES = 32;
/** Of inputs and rows. */
const INPUTS_BYTES = MAGIC.length + 2 * DIGEST_BYTES;
/** Who measured: a digest of what results depend on, and a name for people; zeros: this process. */
const NAME_BYTES = 192;
const COMPUTER_BYTES = DIGEST_BYTES + NAME_BYTES;
const HEADER_BYTES = INPUTS_BYTES + COMPUTER_BYTES;
const CHECK_BYTES = 8;
/** Bytes read at a time. */
const BATCH_BYTES = 4 << 20;

/** A part with the number of its first row, and that row's position in the file. */
interface PlacedPart extends MeasuredPart {
  readonly first: number;
  readonly offset: number;
}

export class FileStore implements ResponseStore {
  readonly path: string;
  /** Whether an earlier run left rows. */
  readonly isBegun: boolean;
  readonly #inputs: Buffer;
  /** The file, once it is known to hold rows of these inputs. */
  #file: FileHandle | undefined;
  #parts: readonly PlacedPart[] = [];
  #rows = 0;

  private constructor(path: string, inputs: Buffer, isBegun: boolean) {
    this.path = path;
    this.#inputs = inputs;
    this.isBegun = isBegun;
  }

  /**
   * Looks for `OUT.partial`; it is written when rows arrive.
   * @param inputs everything that the measured values depend on
   * @throws SluiceError `usage` if the file belongs to other inputs, `bad_file` if it is something else
   */
  static async open(out: string, inputs: unknown): Promise<FileStore> {
    const path = `${out}.partial`;
    const digest = digestOf(Buffer.from(JSON.stringify(inputs)));
    const expected = Buffer.concat([MAGIC, digest]);
    const size = await sizeOf(path);
    if (size === undefined) return new FileStore(path, digest, false);
    const found = await withFile(path, "r", async (file) => readAt(file, 0, Math.min(size, expected.length)));
    if (!MAGIC.subarray(0, found.length).equals(found.subarray(0, MAGIC.length))) {
      throw new SluiceError("bad_file", `${path} is not a file of an interrupted fit, or is of another version`, {
        hint: "Delete it to start again, or name another --out.",
      });
    }
    if (size >= expected.length && !expected.equals(found)) throw foreign(path);
    return new FileStore(path, digest, size > HEADER_BYTES);
  }

  async begin(parts: readonly MeasuredPart[]): Promise<number> {
    const placed: PlacedPart[] = [];
    let first = 0;
    let offset = HEADER_BYTES;
    for (const { rows, width } of parts) {
      placed.push({ rows, width, first, offset });
      first += rows;
      offset += rows * recordBytes(width);
    }
    this.#parts = placed;
    const header = Buffer.concat([MAGIC, this.#inputs, digestOf(Buffer.from(JSON.stringify(parts)))]);
    await this.close();
    const file = await opened(this.path, WRITING);
    try {
      // A file cut off within its header holds nothing.
      if ((await file.stat()).size < HEADER_BYTES) {
        await writeAt(file, 0, Buffer.concat([header, Buffer.alloc(COMPUTER_BYTES)]));
      } else if (!header.equals(await readAt(file, 0, INPUTS_BYTES))) throw foreign(this.path);
      this.#rows = 0;
      for await (const rows of this.#scan(file, 0, first)) this.#rows += rows.length;
    } catch (cause) {
      await file.close();
      throw refused(this.path, WRITING, cause);
    }
    this.#file = file;
    return this.#rows;
  }

  /**
   * Notes which kind of device measures the rows that come next.
   * @throws SluiceError `queue` if rows of another kind are kept: they differ in their last bits
   */
  async measuredBy(by: Computer): Promise<void> {
    // A fit that does not begin the store has nothing to mix.
    if (!this.#file) return;
    const name = Buffer.from(nameOf(by)).subarray(0, NAME_BYTES);
    const own = Buffer.concat([digestOf(Buffer.from(`${by.sluice} ${by.kind}`)), name], COMPUTER_BYTES);
    try {
      const kept = await readAt(this.#file, INPUTS_BYTES, COMPUTER_BYTES);
      const digest = kept.subarray(0, DIGEST_BYTES);
      if (this.#rows === 0 || digest.every((byte) => byte === 0)) await writeAt(this.#file, INPUTS_BYTES, own);
      else if (!digest.equals(own.subarray(0, DIGEST_BYTES))) throw mixed(this.path, kept, by);
    } catch (cause) {
      throw refused(this.path, WRITING, cause);
    }
  }

  async *read(first: number, count: number): AsyncGenerator<PooledRows> {
    try {
      yield* this.#scan(this.#begun, first, count);
    } catch (cause) {
      throw refused(this.path, "r", cause);
    }
  }

  async append(rows: PooledRows): Promise<void> {
    const offset = this.#offsetOf(this.#rows);
    const records = rows.flatMap((row, i) => {
      const bytes = Buffer.from(row.buffer, row.byteOffset, row.byteLength);
      return [bytes, this.#checkOf(this.#rows + i, bytes)];
    });
    try {
      await writeAt(this.#begun, offset, Buffer.concat(records));
    } catch (cause) {
      throw refused(this.path, WRITING, cause);
    }
    this.#rows += rows.length;
  }

  /**
   * Waits for a fit of these rows. If the fit refuses its inputs, the rows are of no further use: the next attempt has
   * other inputs, which the kept file would block.
   */
  async during<Result>(fit: Promise<Result>): Promise<Result> {
    try {
      return await fit;
    } catch (error) {
      if (this.#file && error instanceof SluiceError && error.code === "usage") await this.remove();
      else if (this.#file && this.#rows > 0) noteKept(this.path);
      throw error;
    } finally {
      await this.close();
    }
  }

  /** Deletes the file once the result is written. */
  async remove(): Promise<void> {
    await this.close();
    await rm(this.path, { force: true });
  }

  /** Lets go of the file, which stays. */
  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  get #begun(): FileHandle {
    if (!this.#file) throw new Error("The store was not begun");
    return this.#file;
  }

  /** Up to `count` rows from `first` on, in batches, as long as records are intact. */
  async *#scan(file: FileHandle, first: number, count: number): AsyncGenerator<PooledRows> {
    let next = first;
    while (next < first + count) {
      const { width, rows, first: begin } = this.#partOf(next);
      const record = recordBytes(width);
      const wanted = Math.min(first + count, begin + rows) - next;
      const most = Math.max(1, Math.min(wanted, Math.floor(BATCH_BYTES / record)));
      const bytes = await readAt(file, this.#offsetOf(next), most * record);
      const batch: Float32Array<ArrayBuffer>[] = [];
      for (let at = 0; at + record <= bytes.length; at += record) {
        const values = bytes.subarray(at, at + 4 * width);
        if (!this.#checkOf(next + batch.length, values).equals(bytes.subarray(at + 4 * width, at + record))) break;
        const row = new Float32Array(width);
        Buffer.from(row.buffer).set(values);
        batch.push(row);
      }
      if (batch.length > 0) yield batch;
      if (batch.length < most) return;
      next += batch.length;
    }
  }

  /** Of the inputs too: two fits that begin the file in the same moment cannot take each other's rows for their own. */
  #checkOf(row: number, values: Uint8Array): Buffer {
    const number = Buffer.alloc(8);
    number.writeDoubleLE(row);
    const digest = createHash("sha256").update(this.#inputs).update(number).update(values).digest();
    return digest.subarray(0, CHECK_BYTES);
  }

  #offsetOf(row: number): number {
    const { offset, first, width } = this.#partOf(row);
    return offset + (row - first) * recordBytes(width);
  }

  /** The part that holds a row; the last one for the end of all. */
  #partOf(row: number): PlacedPart {
    const part = this.#parts.findLast(({ first }) => first <= row);
    if (!part) throw new Error("The store was not begun");
    return part;
  }
}

function recordBytes(width: number): number {
  return 4 * width + CHECK_BYTES;
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}

function foreign(path: string): SluiceError {
  return new SluiceError(
    "usage",
    `${path} belongs to a fit of another model or device, or with other sentences or options`,
    {
      hint: "Name another --out; or, unless that fit is still running, delete the file to start again.",
    },
  );
}

function mixed(path: string, kept: Buffer, by: Computer): SluiceError {
  const before = new TextDecoder().decode(kept.subarray(DIGEST_BYTES)).replace(/[\0\ufffd]+$/, "");
  return new SluiceError(
    "queue",
    `${path} was measured by ${showSentence(before, NAME_BYTES)}, and ${nameOf(by)} computes different bits, which must not be mixed`,
    { hint: "Go on with workers of that kind, or delete the file to start again." },
  );
}

/** Up to a number of bytes from a position on. */
async function readAt(file: FileHandle, offset: number, byteLength: number): Promise<Buffer> {
  const bytes = Buffer.alloc(byteLength);
  let end = 0;
  while (end < byteLength) {
    const { bytesRead } = await file.read(bytes, end, byteLength - end, offset + end);
    if (bytesRead === 0) break;
    end += bytesRead;
  }
  return bytes.subarray(0, end);
}

async function writeAt(file: FileHandle, offset: number, bytes: Buffer): Promise<void> {
  let end = 0;
  while (end < bytes.length) {
    end += (await file.write(bytes, end, bytes.length - end, offset + end)).bytesWritten;
  }
}

/** Undefined if there is no file. */
async function sizeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw unusable(path, "r", cause);
  }
}

/** Makes the file if there is none. "a" would write at the end alone, "w" would drop what another run has written. */
const WRITING = constants.O_RDWR | constants.O_CREAT;

type Flags = "r" | typeof WRITING;

async function withFile<Result>(path: string, flags: Flags, use: (file: FileHandle) => Promise<Result>) {
  const file = await opened(path, flags);
  try {
    return await use(file);
  } catch (cause) {
    throw refused(path, flags, cause);
  } finally {
    await file.close();
  }
}

async function opened(path: string, flags: Flags): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (cause) {
    throw unusable(path, flags, cause);
  }
}

function refused(path: string, flags: Flags, cause: unknown): Error {
  return cause instanceof SluiceError ? cause : unusable(path, flags, cause);
}

function unusable(path: string, flags: Flags, cause: unknown): SluiceError {
  const [code, done] = flags === "r" ? (["not_found", "read"] as const) : (["not_written", "written"] as const);
  return new SluiceError(code, `${path} cannot be ${done}: ${(cause as Error).message}`, {
    hint: "It keeps what the fit has measured, next to --out. Is there room, and may you write there?",
    cause,
  });
}
