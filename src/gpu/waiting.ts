/**
 * Waiting for the GPU: in Node without spinning, in pages without late reports.
 *
 * Dawn for Node checks for finished work on every turn of the event loop (`setImmediate`) while one of its
 * promises is open. That burns a core and leaves 20 MB of garbage per second; if the GPU is a software one, the
 * core is the GPU's. There is no other way to learn of it, so the turns are spaced out: Dawn looks `setImmediate` up
 * whenever it requests a turn, which happens inside our call or inside its own turn; only there it finds another function.
 *
 * Firefox checks for finished work ten times per second, and at every submit. So every wait would end up to
 * 100 ms late (153, measured: 97 to 105 ms for an empty submit, each time), and the device's speed would be measured
 * wrongly by short ones; with empty submits every few milliseconds they end within 4 to 10 ms.
 */

/** Milliseconds of checking on every turn; afterwards, once per millisecond. */
const ATTENTIVE_MS = 2;

/** Milliseconds: an empty wait that takes longer shows a late host. */
const LATE_MS = 20;

/** Milliseconds between empty submits that make a late host check. */
const NUDGE_MS = 4;

type Turn = (...args: unknown[]) => void;

/** Calls `begin`, whose promise is one of the GPU's, and spaces out the turns until it settles. */
export function unhurried<Result>(begin: () => Promise<Result>): Promise<Result> {
  const host = globalThis as { setImmediate?: ((turn: Turn, ...args: unknown[]) => unknown) | undefined };
  const immediately = host.setImmediate;
  // Pages have no setImmediate, and need none: there the browser's GPU process calls back.
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

/** Waits for a queue's work, and makes a late host check for its end. */
export class Waiter {
  readonly #queue: GPUQueue;
  #isLate = false;
  /** Number of current waits. */
  #open = 0;
  #timer: ReturnType<typeof setInterval> | undefined;

  constructor(queue: GPUQueue) {
    this.#queue = queue;
  }

  /** Whether this host was found to report late. */
  get isLate(): boolean {
    return this.#isLate;
  }

  /** Measures how soon this host reports the end of an empty wait. Call it while the queue is empty; it never rejects. */
  async calibrate(): Promise<void> {
    let took = 0;
    try {
      // A host that checks at intervals is within one at first, and at the start of one afterwards.
      for (let i = 0; i < 2; i++) {
        const started = performance.now();
        this.#queue.submit([]);
        await unhurried(() => this.#queue.onSubmittedWorkDone());
        took = performance.now() - started;
      }
    } catch {
      // The device is already lost: its first use reports it.
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
