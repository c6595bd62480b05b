/**
 * When requests come. Those of one turn of the event loop join together, and a batch that others may still join runs no
 * further ahead than it has been quiet for: a newcomer waits about as long as the last one is ago, and a burst shares steps.
 */
const { setImmediate: immediately } = globalThis as { readonly setImmediate?: (run: () => void) => unknown };

export class Arrivals {
  #last = Number.NEGATIVE_INFINITY;

  /** A request came. */
  note(): void {
    this.#last = performance.now();
  }

  /** Milliseconds since the last request came. */
  get quietMs(): number {
    return performance.now() - this.#last;
  }

  /** Resolves when those are there that come at once. Pages have no `setImmediate`. */
  gathered(): Promise<void> {
    return new Promise((resolve) => {
      if (immediately) immediately(resolve);
      else setTimeout(resolve, 0);
    });
  }
}
