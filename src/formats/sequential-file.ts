/**
 * Ranges of a file on a server that always sends all of it (`python -m http.server` is one): its one response
 * is read forwards, and what is not wanted is skipped without being stored. A step back asks for the file
 * anew, so reading in the order of the file costs one download.
 */
import { throwIfAborted } from "../errors.ts";
import type { ByteStream } from "./byte-stream.ts";

/** Long skips are done in pieces of this size, between which an abort is noticed. */
const SKIP_BYTES = 16 << 20;

export class SequentialFile {
  readonly #open: (signal: AbortSignal | undefined) => Promise<ByteStream>;
  #stream: ByteStream | null;
  /** Reads wait for one another: there is one stream. */
  #turn: Promise<unknown> = Promise.resolve();

  /**
   * @param first a body that stands at byte 0
   * @param open asks for another such body
   */
  constructor(first: ByteStream, open: (signal: AbortSignal | undefined) => Promise<ByteStream>) {
    this.#stream = first;
    this.#open = open;
  }

  /** Fills `target` with the bytes from `begin`; resolves to how many there were before the file ended. */
  read(begin: number, target: Uint8Array, signal: AbortSignal | undefined): Promise<number> {
    const read = this.#turn.then(() => this.#read(begin, target, signal));
    // The next in line only waits for this one; its failure goes to its own caller.
    this.#turn = read.catch(() => undefined);
    return read;
  }

  /** Waits for reads under way, then drops the connection. */
  async close(): Promise<void> {
    await this.#turn;
    await this.#drop();
  }

  async #read(begin: number, target: Uint8Array, signal: AbortSignal | undefined): Promise<number> {
    throwIfAborted(signal);
    if (this.#stream && this.#stream.position > begin) await this.#drop();
    try {
      this.#stream ??= await this.#open(signal);
      while (this.#stream.position < begin) {
        const before = this.#stream.position;
        await this.#stream.skipTo(Math.min(begin, before + SKIP_BYTES));
        throwIfAborted(signal);
        if (this.#stream.position === before) break;
      }
      const filled = this.#stream.position === begin ? await this.#stream.fill(target) : 0;
      // A body that ended early must not be asked again.
      if (filled < target.length) await this.#drop();
      return filled;
    } catch (error) {
      await this.#drop();
      throw error;
    }
  }

  async #drop(): Promise<void> {
    await this.#stream?.cancel();
    this.#stream = null;
  }
}
