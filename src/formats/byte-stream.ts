/** A response's body as bytes in order; holds only the current chunk. */
import { alive } from "../resources.ts";
import type { Deadline } from "./deadline.ts";
import { PacedReader } from "./paced-reader.ts";

export class ByteStream {
  readonly #reader: PacedReader | undefined;
  readonly #deadline: Deadline;
  #chunk: Uint8Array = new Uint8Array(0);
  #position = 0;
  #isOpen: boolean;

  /**
   * @param body null for none, as after HEAD
   * @param deadline of the request; the stream ends it, and throws its failure if the connection is lost
   * @param stallMs how long the next bytes may take that somebody waits for
   * @param leastBytes how many must come in that time
   */
  constructor(body: ReadableStream<Uint8Array> | null, deadline: Deadline, stallMs: number, leastBytes?: number) {
    this.#reader = body ? new PacedReader(body, deadline, stallMs, leastBytes) : undefined;
    if (body) alive.take("files");
    this.#isOpen = body !== null;
    this.#deadline = deadline;
    if (!body) deadline.end();
  }

  /** Bytes taken or skipped so far. */
  get position(): number {
    return this.#position;
  }

  /**
   * Fills `target` as far as the stream goes; resolves to the number of bytes.
   * @param onFilled receives how many are there so far
   */
  async fill(target: Uint8Array, onFilled?: (count: number) => void): Promise<number> {
    let done = 0;
    while (done < target.length && (await this.#more())) {
      const part = this.#take(target.length - done);
      target.set(part, done);
      done += part.length;
      onFilled?.(done);
    }
    return done;
  }

  /** The rest, as it comes. */
  async *pieces(): AsyncGenerator<Uint8Array> {
    while (await this.#more()) yield this.#take(this.#chunk.length);
  }

  /** Moves on to byte `position`; stops early if the stream ends. */
  async skipTo(position: number): Promise<void> {
    while (this.#position < position && (await this.#more())) this.#take(position - this.#position);
  }

  /** Reads past the expected end, so that the connection can be used again; drops anything more. */
  async finish(): Promise<void> {
    if (await this.#more()) await this.cancel();
  }

  /** Drops the stream and its connection, in any state. */
  async cancel(): Promise<void> {
    await this.#reader?.cancel();
    this.#ended();
  }

  #ended(): void {
    if (this.#isOpen) {
      alive.giveBack("files");
      this.#deadline.end();
    }
    this.#isOpen = false;
  }

  #take(count: number): Uint8Array {
    const part = this.#chunk.subarray(0, count);
    this.#chunk = this.#chunk.subarray(part.length);
    this.#position += part.length;
    return part;
  }

  /** Ensures that at least one byte is ready; false at the end of the stream. */
  async #more(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const next = await this.#read();
      if (!next) {
        this.#ended();
        return false;
      }
      this.#chunk = next;
    }
    return true;
  }

  async #read(): Promise<Uint8Array | undefined> {
    try {
      return await this.#reader?.read();
    } catch (error) {
      this.#ended();
      throw error;
    }
  }
}
