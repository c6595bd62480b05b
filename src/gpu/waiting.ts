/**
 * Waiting for the GPU: in Node without spinning, in pages without being told late.
 *
 * Dawn for Node asks for finished work once every turn of the event loop (`setImmediate`) for as long as one of its
 * promises is open. That burns a core and leaves garbage behind at 20 MB a second; where the GPU is a software one, the
 * core is the GPU's. There is no other way to be told, so the turns are spaced out: Dawn looks `setImmediate` up
 * whenever it asks for a turn, which happens inside our call or inside its own turn, and there alone it finds another.
 *
 * Firefox looks for finished work ten times a second, and whenever something is submitted. So every wait would end up to
 * 100 ms late (153, measured: 97 to 105 ms for an empty submit, each time), and what short ones tell of the device's speed
 * would be wrong; with empty submits every few milliseconds they end within 4 to 10.
 */

/** Short work is awaited at full attention; after this long, once a millisecond. */
const ATTENTIVE_MS = 2;

/** A wait for nothing that takes longer than this ends late. */
const LATE_MS = 20;

/** How often a late host is made to look. */
const NUDGE_MS = 4;

type Turn = (...args: unknown[]) => void;

/** Calls `begin`, whose promise is one of the GPU's, and spaces out the turns that are taken until it settles. */
export function unhurried<Result>(begin: () => Promise<Result>): Promise<Result> {
  const host = globalThis as { setImmediate?: ((turn: Turn, ...args: unknown[]) => unknown) | undefined };
  const immediately = host.setImmediate;
  // Pages have none, and need none: there the browser's GPU process calls back.
  if (!immediately) return begin();
  const started = performance.now();

  const spaced = <Value>(work: () => Value): Value => {
    const before = host.setImmediate;
    host.setImmediate = (turn, ...args) => {
      const next = () => spaced(() => turn(...args));
      return performance.now() - started < ATTENTIVE_MS ? immediately(next) : setTimeout(next, 1);
    };
    try {
      return work();
    } finally {
      host.setImmediate = before;
    }
  };
  return spaced(begin);
}

/** Waits for a queue's work, and has a host that tells late of its end look for it. */
export class Waiter {
  readonly #queue: GPUQueue;
  #isLate = false;
  /** Waits that go on. */
  #open = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(queue: GPUQueue) {
    this.#queue = queue;
  }

  /** Whether this host was found to tell late. */
  get isLate(): boolean {
    return this.#isLate;
  }

  /** Finds out how soon this host tells that nothing is done. To be called while the queue is empty; never rejects. */
  async calibrate(): Promise<void> {
    let took = 0;
    try {
      // A host that looks at intervals is within one at first, and at the start of one then.
      for (let i = 0; i < 2; i++) {
        const started = performance.now();
        this.#queue.submit([]);
        await unhurried(() => this.#queue.onSubmittedWorkDone());
        took = performance.now() - started;
      }
    } catch {
      // A device that is lost already: its first use tells.
      return;
    }
    this.#isLate = took > LATE_MS;
  }

  /** Calls `begin`, whose promise settles when work of the queue is done, and waits for it. */
  async until<Result>(begin: () => Promise<Result>): Promise<Result> {
    if (!this.#isLate) return unhurried(begin);
    this.#open++;
    this.#timer ??= setInterval(() => this.#queue.submit([]), NUDGE_MS);
    try {
      return await unhurried(begin);
    } finally {
      if (--this.#open === 0) {
        clearInterval(this.#timer);
        this.#timer = undefined;
      }
    }
  }
}
