/** Reads a body that must go on while somebody waits for it. */
import type { Deadline } from "./deadline.ts";

/** What must come within the time in which something must: a server that sends a byte now and then would never end. */
export const LEAST_BYTES = 1024;

export class PacedReader {
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;
  readonly #deadline: Deadline;
  readonly #stallMs: number;
  readonly #leastBytes: number;
  /** Time that somebody waited since that much had come, and what has come since. */
  #waitedMs = 0;
  #bytes = 0;

  /**
   * @param deadline throws what the body fails with
   * @param stallMs how long `leastBytes` may take while somebody waits for them
   */
  constructor(body: ReadableStream<Uint8Array>, deadline: Deadline, stallMs: number, leastBytes = LEAST_BYTES) {
    this.#reader = body.getReader();
    this.#deadline = deadline;
    this.#stallMs = stallMs;
    this.#leastBytes = leastBytes;
  }

  /** @returns undefined at the end */
  async read(): Promise<Uint8Array | undefined> {
    const began = performance.now();
    const late = { ms: this.#stallMs, bytes: this.#bytes };
    const next = await this.#deadline.run(this.#stallMs - this.#waitedMs, () => this.#reader.read(), late);
    if (next.done) return undefined;
    this.#waitedMs += performance.now() - began;
    this.#bytes += next.value.length;
    if (this.#bytes >= this.#leastBytes) this.#waitedMs = this.#bytes = 0;
    return next.value;
  }

  /** Drops what is left, in any state. */
  async cancel(): Promise<void> {
    // A failed stream rejects with its failure again, which its reader already has.
    await this.#reader.cancel().catch(() => undefined);
  }
}
