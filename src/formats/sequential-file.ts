/**
 * Ranges of a file on a server that always sends all of it (`python -m http.server` is one): its one response
 * is read forwards, and unwanted bytes are skipped without being stored. A step back requests the file
 * again, so reading in the order of the file costs one download.
 */
import { throwIfAborted } from "../errors.ts";
import type { ByteStream } from "./byte-stream.ts";

/** Long skips are split into pieces of this size; an abort is noticed between them. */
const SKIP_BYTES = 16 << 20;

export class SequentialFile {
  readonly #open: (signal: AbortSignal | undefined) => Promise<ByteStream>;
  #stream: ByteStream | null;
  /** Reads run one after another: there is one stream. */
  #turn: Promise<unknown> = Promise.resolve();

  /**
   * @param first a body at byte 0
   * @param open requests another such body
   */
  constructor(first: ByteStream, open: (signal: AbortSignal | undefined) => Promise<ByteStream>) {
    this.#stream = first;
    this.#open = open;
  }

  /** Fills `target` with the bytes from `begin`; resolves to how many there were before the file ended. */
  read(begin: number, target: Uint8Array, signal: AbortSignal | undefined): Promise<number> {
    const read = this.#turn.then(() => this.#read(begin, target, signal));
    // The next read only waits for this one, whose failure goes to its own caller.
    this.#turn = read.catch(() => undefined);
    return read;
  }

  /** Waits for running reads, then drops the connection. */
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
      // A body that ended early must not be read again.
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
