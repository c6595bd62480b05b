/**
 * A content in a page's storage: a folder of parts, since what a page writes is there only when it is closed. The last
 * part is written again as it grows, so that little is lost when a page is left.
 *
 *   PARTS/00000, 00001, …    bytes in order
 *   PARTS/whole              lengths of the parts as JSON, once all is there and verified
 */
import { endsEarly } from "../formats/source.ts";
import type { PageFiles } from "./page-files.ts";
import { writing } from "./page-refusal.ts";
import type { PartialFile } from "./store.ts";

/** Bytes of a part. */
const PART_BYTES = 4 << 20;

/** Room that a content begins with: most files of a model have a few kilobytes. */
const FIRST_ROOM = 64 << 10;

/** Milliseconds after which a part is written although it is not full. */
const WRITE_MS = 400;

/** Parts that stay in memory for whoever reads what has just come. */
const RECENT_PARTS = 4;

const WHOLE = "whole";

/** Lengths of the parts of a whole content; null if it is not there as a whole. */
export async function wholeParts(files: PageFiles, folder: string): Promise<readonly number[] | null> {
  const marker = await files.read(`${folder}/${WHOLE}`);
  return marker && (JSON.parse(await marker.text()) as readonly number[]);
}

/** Bytes of an unfinished content. */
export async function partialBytes(files: PageFiles, folder: string): Promise<number> {
  return (await partsIn(files, folder)).reduce((sum, length) => sum + length, 0);
}

/** Lengths of the parts that are there, up to the first that is missing. */
async function partsIn(files: PageFiles, folder: string): Promise<number[]> {
  const lengths: number[] = [];
  for (;;) {
    const part = await files.read(`${folder}/${nameOf(lengths.length)}`);
    if (!part) return lengths;
    lengths.push(part.size);
  }
}

function nameOf(index: number): string {
  return String(index).padStart(5, "0");
}

/** Reads a content by its parts. */
export class ContentReader {
  readonly #files: PageFiles;
  readonly #folder: string;
  readonly #lengths: readonly number[];
  readonly #blobs = new Map<number, Blob>();
  readonly size: number;

  constructor(files: PageFiles, folder: string, lengths: readonly number[]) {
    this.#files = files;
    this.#folder = folder;
    this.#lengths = lengths;
    this.size = lengths.reduce((sum, length) => sum + length, 0);
  }

  async read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(end - begin);
    let partBegin = 0;
    for (const [index, length] of this.#lengths.entries()) {
      const from = Math.max(begin, partBegin);
      const to = Math.min(end, partBegin + length);
      if (from < to) {
        const blob = (await this.#blob(index)).slice(from - partBegin, to - partBegin);
        bytes.set(new Uint8Array(await blob.arrayBuffer()), from - begin);
      }
      partBegin += length;
    }
    return bytes;
  }

  async #blob(index: number): Promise<Blob> {
    const path = `${this.#folder}/${nameOf(index)}`;
    const blob = this.#blobs.get(index) ?? (await this.#files.read(path));
    if (!blob) throw endsEarly(path, 0, this.#lengths[index] as number);
    this.#blobs.set(index, blob);
    return blob;
  }
}

export class PagePartial implements PartialFile {
  readonly #files: PageFiles;
  readonly #folder: string;
  readonly #place: () => Promise<void>;
  readonly #release: () => void;
  /** Lengths of the full parts. */
  #lengths: number[] = [];
  /** The part that grows. */
  #tail = new Uint8Array(FIRST_ROOM);
  #tailLength = 0;
  /** Bytes of the tail that are written. */
  #tailWritten = 0;
  readonly #recent = new Map<number, Uint8Array<ArrayBuffer>>();
  /** Parts are written one after another. */
  #writing: Promise<void> = Promise.resolve();
  #writtenAt = performance.now();
  #isDone = false;
  #closing: Promise<void> | null = null;

  private constructor(files: PageFiles, folder: string, place: () => Promise<void>, release: () => void) {
    this.#files = files;
    this.#folder = folder;
    this.#place = place;
    this.#release = release;
  }

  /**
   * @param place makes the whole content what it is to be
   * @param release lets go of it for other pages
   */
  static async open(
    files: PageFiles,
    folder: string,
    place: () => Promise<void>,
    release: () => void,
  ): Promise<PagePartial> {
    const partial = new PagePartial(files, folder, place, release);
    partial.#lengths = await partsIn(files, folder);
    await partial.#takeTail();
    return partial;
  }

  get size(): number {
    return this.#lengths.reduce((sum, length) => sum + length, this.#tailLength);
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const part = bytes.subarray(done, done + PART_BYTES - this.#tailLength);
      this.#makeRoom(this.#tailLength + part.length);
      this.#tail.set(part, this.#tailLength);
      this.#tailLength += part.length;
      done += part.length;
      if (this.#tailLength === PART_BYTES) await this.#endPart();
    }
    if (performance.now() - this.#writtenAt >= WRITE_MS) await this.#writeTail();
  }

  async read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    if (end > this.size) throw endsEarly(this.#folder, this.size, end);
    const bytes = new Uint8Array(end - begin);
    let partBegin = 0;
    for (const [index, length] of [...this.#lengths, this.#tailLength].entries()) {
      const from = Math.max(begin, partBegin);
      const to = Math.min(end, partBegin + length);
      if (from < to) bytes.set(await this.#readPart(index, from - partBegin, to - partBegin), from - begin);
      partBegin += length;
    }
    return bytes;
  }

  async restart(): Promise<void> {
    await this.#writing.catch(() => undefined);
    this.#lengths = [];
    this.#recent.clear();
    this.#tailLength = 0;
    this.#tailWritten = 0;
    await writing(() => this.#files.remove(this.#folder));
  }

  async commit(): Promise<void> {
    await this.#writeTail();
    await this.#writing;
    const lengths = this.#tailLength > 0 ? [...this.#lengths, this.#tailLength] : this.#lengths;
    await writing(() => this.#files.write(`${this.#folder}/${WHOLE}`, JSON.stringify(lengths)));
    await this.#place();
    this.#isDone = true;
    this.#release();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    if (this.#isDone) return;
    try {
      await this.#writeTail();
      await this.#writing;
    } catch {
      // Whoever downloads was told, or will be when it is tried again.
    } finally {
      this.#release();
    }
  }

  /** Goes on with the last part of an earlier page, if it is not full. */
  async #takeTail(): Promise<void> {
    const last = this.#lengths.at(-1) ?? PART_BYTES;
    if (last >= PART_BYTES) return;
    const index = this.#lengths.length - 1;
    const blob = await this.#files.read(`${this.#folder}/${nameOf(index)}`);
    this.#lengths.pop();
    if (!blob) return;
    this.#makeRoom(last);
    this.#tail.set(new Uint8Array(await blob.arrayBuffer()));
    this.#tailLength = last;
    this.#tailWritten = last;
  }

  /** Moves the tail if it would not hold that many bytes. What is being written stays where it is. */
  #makeRoom(bytes: number): void {
    if (bytes <= this.#tail.length) return;
    const larger = new Uint8Array(Math.min(PART_BYTES, Math.max(bytes, 2 * this.#tail.length)));
    larger.set(this.#tail.subarray(0, this.#tailLength));
    this.#tail = larger;
  }

  async #endPart(): Promise<void> {
    const index = this.#lengths.length;
    this.#recent.set(index, this.#tail);
    await this.#writeTail();
    this.#lengths.push(this.#tailLength);
    this.#tail = new Uint8Array(PART_BYTES);
    this.#tailLength = 0;
    this.#tailWritten = 0;
    this.#recent.delete(index - RECENT_PARTS);
  }

  /** Begins to write what has come, when what was written before is through. */
  async #writeTail(): Promise<void> {
    if (this.#tailWritten === this.#tailLength) return;
    const path = `${this.#folder}/${nameOf(this.#lengths.length)}`;
    const bytes = this.#tail.subarray(0, this.#tailLength);
    this.#tailWritten = this.#tailLength;
    await this.#writing;
    this.#writtenAt = performance.now();
    this.#writing = writing(() => this.#files.write(path, bytes));
    // The next write, or the end, waits for it and throws what it throws.
    this.#writing.catch(() => undefined);
  }

  async #readPart(index: number, begin: number, end: number): Promise<Uint8Array> {
    const held = index === this.#lengths.length ? this.#tail : this.#recent.get(index);
    if (held) return held.subarray(begin, end);
    const blob = await this.#files.read(`${this.#folder}/${nameOf(index)}`);
    if (!blob) throw endsEarly(`${this.#folder}/${nameOf(index)}`, 0, end);
    return new Uint8Array(await blob.slice(begin, end).arrayBuffer());
  }
}
