/** Ends what a server keeps waiting, and what is aborted. */
import { throwIfAborted } from "../errors.ts";
import { onAbort } from "../on-abort.ts";

export class Deadline {
  readonly #signal: AbortSignal | undefined;
  readonly #failure: (cause: unknown, lateMs: number | null) => Error;
  readonly #stop = new AbortController();
  readonly #forget: () => void;

  /**
   * @param signal the caller's
   * @param failure what to throw for work that failed, or was late by this many milliseconds
   */
  constructor(signal: AbortSignal | undefined, failure: (cause: unknown, lateMs: number | null) => Error) {
    this.#signal = signal;
    this.#failure = failure;
    this.#forget = onAbort(signal, () => this.#stop.abort(signal?.reason));
  }

  /** Work that must be done within a time. @throws what `failure` says if it is not, or fails; SluiceError `aborted` */
  async run<T>(ms: number, work: (stop: AbortSignal) => Promise<T>): Promise<T> {
    throwIfAborted(this.#signal);
    let isLate = false;
    const timer = setTimeout(() => {
      isLate = true;
      this.#stop.abort();
    }, ms);
    try {
      return await work(this.#stop.signal);
    } catch (cause) {
      this.end();
      throwIfAborted(this.#signal);
      throw this.#failure(cause, isLate ? ms : null);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Nothing is awaited any more. */
  end(): void {
    this.#forget();
  }
}
