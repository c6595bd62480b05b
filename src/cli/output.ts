/** Text to stdout and stderr, whose reader may go away. */

/** The part of a Node stream that is needed. */
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

  /** @param onFailure called once when text can no longer be written, so that the work can stop */
  constructor(stream: OutputStream, onFailure: () => void = () => {}) {
    this.#stream = stream;
    this.#onFailure = onFailure;
    stream.on("error", this.#listener);
  }

  /** Whether a terminal shows the text. */
  get interactive(): boolean {
    return this.#stream.isTTY === true;
  }

  /** Width of the screen in characters; 80 if there is none. */
  get columns(): number {
    return this.#stream.columns || 80;
  }

  /** Whether the reader went away, as `head` does when it has seen enough. */
  get closed(): boolean {
    return this.#closed;
  }

  /** Why writing failed, if not because the reader went away: a full disk, for example. */
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

  /** Ends the line unless the last text did. */
  endLine(): void {
    if (!this.#endsLine) this.write("\n");
  }

  /** Waits until all text has left the process: an earlier exit would cut it off. */
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
