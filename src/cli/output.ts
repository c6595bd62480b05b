/** Text to stdout and stderr, where the reader may go away. */

/** As much of a Node stream as is needed. */
export interface OutputStream {
  write(text: string, done: (error?: Error | null) => void): unknown;
  on(event: "error", listener: (error: Error & { code?: string }) => void): unknown;
  off(event: "error", listener: (error: Error & { code?: string }) => void): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export class TextOutput {
  readonly #stream: OutputStream;
  readonly #onFailure: () => void;
  #endsLine = true;
  #closed = false;
  #failure: Error | null = null;
  readonly #listener = (error: Error & { code?: string }): void => this.#fail(error);

  /** @param onFailure called once when the text cannot be written any more: going on makes no sense */
  constructor(stream: OutputStream, onFailure: () => void = () => {}) {
    this.#stream = stream;
    this.#onFailure = onFailure;
    stream.on("error", this.#listener);
  }

  /** A person watches. */
  get interactive(): boolean {
    return this.#stream.isTTY === true;
  }

  /** Width of the screen in characters; 80 where there is none. */
  get columns(): number {
    return this.#stream.columns || 80;
  }

  /** The reader went away, as `head` does when it has seen enough. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Why writing failed, other than for want of a reader: a full disk, say. */
  get failure(): Error | null {
    return this.#failure;
  }

  write(text: string): void {
    if (text === "" || this.#closed || this.#failure) return;
    this.#endsLine = text.endsWith("\n");
    this.#stream.write(text, (error) => {
      if (error) this.#fail(error);
    });
  }

  /** Writes a line's end unless the last text had one. */
  endLine(): void {
    if (!this.#endsLine) this.write("\n");
  }

  /** Waits until everything has left the process: exiting before would cut it off. */
  async flush(): Promise<void> {
    if (!this.#closed && !this.#failure) await new Promise<void>((resolve) => this.#stream.write("", () => resolve()));
    this.#stream.off("error", this.#listener);
  }

  #fail(error: Error & { code?: string }): void {
    if (this.#closed || this.#failure) return;
    if (error.code === "EPIPE" || error.code === "ERR_STREAM_DESTROYED") this.#closed = true;
    else this.#failure = error;
    this.#onFailure();
  }
}
