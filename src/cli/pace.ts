/** The rate of work that reports its progress, and the time left. */

/** Earlier than this, a rate reflects the first steps more than the work. */
const SETTLED_MS = 500;

export interface Counted {
  readonly done: number;
  readonly total: number;
  /** The unit counted, such as `tokens`; `bytes` are shown as MB. */
  readonly unit: string;
  /** The part of `done` that an earlier run had done; it does not count towards the rate. */
  readonly kept?: number;
}

export class Pace {
  readonly #now: () => number;
  /** When the first part, for which kernels were compiled, was done. */
  #begun: { readonly at: number; readonly done: number } | undefined;

  constructor(now: () => number) {
    this.#now = now;
  }

  /** `512 of 10000 sentences, 5 %, 12 per s, about 13 min left` */
  describe({ done, total, unit, kept = 0 }: Counted): string {
    const now = this.#now();
    if (!this.#begun && done > kept) this.#begun = { at: now, done };
    const begun = this.#begun;
    const parts = [`${amountsOf(done, total, unit)}`, `${Math.floor((100 * done) / Math.max(1, total))} %`];
    const ms = begun ? now - begun.at : 0;
    if (begun && ms >= SETTLED_MS && done > begun.done) {
      const perSecond = ((done - begun.done) * 1000) / ms;
      parts.push(rateOf(perSecond, unit));
      if (done < total) parts.push(`about ${durationOf((total - done) / perSecond)} left`);
    }
    return parts.join(", ");
  }
}

function amountsOf(done: number, total: number, unit: string): string {
  if (unit === "bytes") return `${formatBytes(done)} of ${formatBytes(total)}`;
  return `${Math.round(done)} of ${total} ${unit}`;
}

function rateOf(perSecond: number, unit: string): string {
  if (unit === "bytes") return `${formatBytes(perSecond)} per s`;
  return perSecond >= 1
    ? `${Number(perSecond.toPrecision(perSecond >= 100 ? 3 : 2))} per s`
    : `${Number((60 * perSecond).toPrecision(2))} per min`;
}

/** `40 s`, `13 min`, `2.5 h` */
export function durationOf(seconds: number): string {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}

/** `12 MB`; small files as `1.2 kB` */
export function formatSize(bytes: number): string {
  return bytes < 1e5 ? `${(bytes / 1000).toFixed(1)} kB` : formatBytes(bytes);
}

/** `12 MB` */
export function formatBytes(bytes: number): string {
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
}
