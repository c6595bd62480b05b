/** What is alive: counts of everything that is given back by a call, not by the garbage collector alone. */

/** What Sluice holds. Each count returns to what it was when what was opened is disposed of, however that came to its end. */
export interface Resources {
  /** Devices in use: those that Sluice opened, and once more for each model on a caller's device. */
  readonly devices: number;
  /** Models that were loaded and not disposed of. Those made by `with` belong to the one that was loaded. */
  readonly models: number;
  /** Caches and activations of sequences: sessions, batches, and calls of models under way. */
  readonly sessions: number;
  /** GPU buffers. */
  readonly buffers: number;
  /** Bytes of these. */
  readonly bytes: number;
  /** Compiled kernels that are kept. */
  readonly pipelines: number;
  /** Kernels connected to buffers. */
  readonly bind_groups: number;
  /** Open files, and answers of servers that are being read. */
  readonly files: number;
  /** Functions that wait for an event of a caller's signal or device. */
  readonly listeners: number;
}

const NOTHING: Resources = {
  devices: 0,
  models: 0,
  sessions: 0,
  buffers: 0,
  bytes: 0,
  pipelines: 0,
  bind_groups: 0,
  files: 0,
  listeners: 0,
};

/** Counts what is taken and given back. */
export class Tally {
  readonly #whole: Tally | undefined;
  readonly #counts: { -readonly [Kind in keyof Resources]: number } = { ...NOTHING };
  #isClosed = false;

  /** @param whole counts the same, and more */
  constructor(whole?: Tally) {
    this.#whole = whole;
  }

  get counts(): Resources {
    return { ...this.#counts };
  }

  /** Counts what is taken; after `close` nothing. */
  take(kind: keyof Resources, count = 1): void {
    if (this.#isClosed) return;
    this.#counts[kind] += count;
    this.#whole?.take(kind, count);
  }

  /** Counts what is given back. */
  giveBack(kind: keyof Resources, count = 1): void {
    this.take(kind, -count);
  }

  /** Everything is given back at once. */
  close(): void {
    for (const kind of Object.keys(NOTHING) as (keyof Resources)[]) this.giveBack(kind, this.#counts[kind]);
    this.#isClosed = true;
  }
}

/** Of this process, or this page or worker. */
export const alive = new Tally();

/**
 * What Sluice holds in this process, page or worker, all models and devices together: for tests and for servers that run
 * for long. `Model.resources` has a single model's part of it.
 */
export function resources(): Resources {
  return alive.counts;
}
