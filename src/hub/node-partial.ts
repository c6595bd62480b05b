/** The beginning of a content in Hugging Face's cache: `blobs/ETAG.incomplete`, which becomes `blobs/ETAG`. */
import { type FileHandle, open, rm } from "node:fs/promises";
import { endsEarly } from "../formats/source.ts";
import { alive } from "../resources.ts";
import type { Lock } from "./node-lock.ts";
import { notWritten } from "./node-refusal.ts";
import type { PartialFile } from "./store.ts";

export class NodePartial implements PartialFile {
  readonly #path: string;
  readonly #handle: FileHandle;
  readonly #lock: Lock;
  readonly #place: () => Promise<void>;
  #size: number;
  #isDone = false;
  #closing: Promise<void> | null = null;

  private constructor(path: string, handle: FileHandle, size: number, lock: Lock, place: () => Promise<void>) {
    this.#path = path;
    this.#handle = handle;
    this.#size = size;
    this.#lock = lock;
    this.#place = place;
  }

  /**
   * @param lock released when the content is committed or closed
   * @param place makes the whole content what it is to be
   */
  static async open(path: string, lock: Lock, place: () => Promise<void>): Promise<NodePartial> {
    // Not "a+": bytes are written where they belong, so that two writers of one content do no harm.
    const handle = await open(path, "r+").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return open(path, "wx+");
      throw error;
    });
    alive.take("files");
    try {
      return new NodePartial(path, handle, (await handle.stat()).size, lock, place);
    } catch (error) {
      alive.giveBack("files");
      await handle.close();
      throw error;
    }
  }

  get size(): number {
    return this.#size;
  }

  async append(bytes: Uint8Array): Promise<void> {
    for (let done = 0; done < bytes.length; ) {
      const written = await this.#handle.write(bytes, done, bytes.length - done, this.#size).catch((cause: unknown) => {
        throw notWritten(this.#path, cause);
      });
      done += written.bytesWritten;
      this.#size += written.bytesWritten;
    }
  }

  async read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(end - begin);
    for (let done = 0; done < bytes.length; ) {
      const { bytesRead } = await this.#handle.read(bytes, done, bytes.length - done, begin + done);
      if (bytesRead === 0) throw endsEarly(this.#path, begin + done, end);
      done += bytesRead;
    }
    return bytes;
  }

  async restart(): Promise<void> {
    await this.#handle.truncate(0);
    this.#size = 0;
  }

  async commit(): Promise<void> {
    await this.#place();
    this.#isDone = true;
    await this.#lock.release();
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    alive.giveBack("files");
    await this.#handle.close();
    if (this.#isDone) return;
    if (this.#size === 0) await rm(this.#path, { force: true });
    await this.#lock.release();
  }
}
