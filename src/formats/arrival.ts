/** Bytes that are on their way: readers wait for as many as they need, not for all. */
export class Arrival {
  /** Those from `length` on are not there yet. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  #length = 0;
  #isOver = false;
  #wake: () => void = () => undefined;
  #more: Promise<void>;

  /** @param bytes where they will be */
  constructor(bytes: Uint8Array<ArrayBuffer>) {
    this.bytes = bytes;
    this.#more = this.#nextNews();
  }

  /** Says that the first `length` bytes are there. */
  reached(length: number): void {
    this.#length = length;
    this.#tell();
  }

  /** Says that no more will come, for whatever reason. */
  end(): void {
    this.#isOver = true;
    this.#tell();
  }

  /** Waits for the first `count` bytes; false if they will not come. */
  async has(count: number): Promise<boolean> {
    while (this.#length < count && !this.#isOver) await this.#more;
    return this.#length >= count;
  }

  #tell(): void {
    this.#wake();
    this.#more = this.#nextNews();
  }

  #nextNews(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
