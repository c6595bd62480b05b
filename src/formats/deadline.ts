/** Ends what a server keeps waiting, and what is aborted. */
import { throwIfAborted } from "../errors.ts";
import { onAbort } from "../on-abort.ts";

/** What came too slowly. */
export interface Lateness {
  /** Within this many milliseconds. */
  readonly ms: number;
  readonly bytes: number;
}

/** For messages: `nothing came from the server for 20 s`. */
export function tooSlow({ ms, bytes }: Lateness): string {
  if (bytes === 0) return `nothing came from the server for ${ms / 1000} s`;
  return `only ${bytes} bytes came from the server in ${ms / 1000} s`;
}

export class Deadline {
  readonly #signal: AbortSignal | undefined;
  readonly #failure: (cause: unknown, late: Lateness | null) => Error;
  readonly #stop = new AbortController();
  readonly #forget: () => void;

  /**
   * @param signal the caller's
   * @param failure what to throw for work that failed, or was late
   */
  constructor(signal: AbortSignal | undefined, failure: (cause: unknown, late: Lateness | null) => Error) {
    this.#signal = signal;
    this.#failure = failure;
    this.#forget = onAbort(signal, () => this.#stop.abort(signal?.reason));
  }

  /**
   * Work that must be done within a time.
   * @param late what is said if it is not
   * @throws what `failure` says if it is not, or fails; SluiceError `aborted`
   */
  async run<T>(ms: number, work: (stop: AbortSignal) => Promise<T>, late: Lateness = { ms, bytes: 0 }): Promise<T> {
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
      throw this.#failure(cause, isLate ? late : null);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Nothing is awaited any more. */
  end(): void {
    this.#forget();
  }
}
