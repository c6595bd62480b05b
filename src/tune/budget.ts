/** A time limit, and waiting within it. */

import { throwIfAborted } from "../errors.ts";
import { onAbort } from "../on-abort.ts";

/** Longer timers fire at once (HTML, timers: 32 bits); this is 24 days. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Budget {
  readonly #ends: number;
  readonly #signal: AbortSignal | undefined;
  #longest = 0;

  /** @param ms may be Infinity */
  constructor(ms: number, signal: AbortSignal | undefined) {
    this.#ends = performance.now() + ms;
    this.#signal = signal;
  }

  /** Whether another sample is expected to end in time. */
  mayGoOn(): boolean {
    throwIfAborted(this.#signal);
    return performance.now() + this.#longest < this.#ends;
  }

  /** Notes how long a sample takes. */
  async during<Result>(sample: Promise<Result>): Promise<Result> {
    const begun = performance.now();
    try {
      return await sample;
    } finally {
      this.#longest = Math.max(this.#longest, performance.now() - begun);
    }
  }

  /**
   * Waits for work of unknown length. When time runs out, its signal is aborted, so that it does not continue
   * unnoticed; its outcome is then ignored.
   * @param begin starts the work; its signal also fires with the caller's
   * @returns whether it was done in time
   */
  async allows(begin: (signal: AbortSignal) => Promise<void>): Promise<boolean> {
    throwIfAborted(this.#signal);
    const given = new AbortController();
    // AbortSignal.any is missing from the first releases of Node 20.
    const forget = onAbort(this.#signal, () => given.abort(this.#signal?.reason));
    let timer: ReturnType<typeof setTimeout> | undefined;
    const late = new Promise<false>((resolve) => {
      const left = this.#ends - performance.now();
      if (left > LONGEST_TIMER_MS) return;
      timer = setTimeout(() => {
        resolve(false);
        given.abort();
      }, left);
    });
    try {
      return await Promise.race([begin(given.signal).then(() => true), late]);
    } finally {
      clearTimeout(timer);
      forget();
    }
  }
}
