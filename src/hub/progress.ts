/** How far a download is: of each file, and of all. */

/** How far the download of one file is. */
export interface FileProgress {
  /** The file, in its repository. */
  readonly path: string;
  /** Bytes that are there. */
  readonly done: number;
  /** Bytes of the whole; null while nobody has said. */
  readonly total: number | null;
}

/** How far a download is, of each file and of all. */
export interface DownloadProgress {
  /** Bytes that are there, of all files. */
  readonly done: number;
  /** Bytes of all files whose length is known. */
  readonly total: number;
  /** The part of `done` that an earlier download had brought. */
  readonly kept: number;
  /** Those under way and those that are done. */
  readonly files: readonly FileProgress[];
  /** Over the last seconds; null before anything can be said. */
  readonly bytesPerSecond: number | null;
  /** At that rate; null without one. */
  readonly secondsLeft: number | null;
}

export type DownloadListener = (progress: DownloadProgress) => void;

/** Before anything is known. */
export const NOTHING_YET: DownloadProgress = {
  done: 0,
  total: 0,
  kept: 0,
  files: [],
  bytesPerSecond: null,
  secondsLeft: null,
};

/** Between two reports. */
const REPORT_MS = 100;
/** What the rate is measured over. */
const WINDOW_MS = 5000;
/** Earlier than this, a rate says more of the first packets than of the connection. */
const SETTLED_MS = 500;

/** A download as the meter sees it. */
export interface Metered {
  readonly path: string;
  readonly done: number;
  readonly kept: number;
  readonly size: number | null;
}

export class DownloadMeter {
  readonly #listener: DownloadListener;
  readonly #downloads: readonly Metered[];
  readonly #now: () => number;
  readonly #seen: { readonly at: number; readonly fresh: number }[] = [];
  #reported = Number.NEGATIVE_INFINITY;

  /** @param downloads a list that may grow */
  constructor(downloads: readonly Metered[], listener: DownloadListener, now: () => number = () => performance.now()) {
    this.#downloads = downloads;
    this.#listener = listener;
    this.#now = now;
  }

  /** Something has come. @param isLast whether it is to be reported however short ago the last report was */
  report(isLast = false): void {
    const now = this.#now();
    if (!isLast && now - this.#reported < REPORT_MS) return;
    this.#reported = now;
    this.#listener(this.#progress(now));
  }

  #progress(now: number): DownloadProgress {
    const files = this.#downloads.map(({ path, done, size }) => ({ path, done, total: size }));
    const sum = (of: (download: Metered) => number): number =>
      this.#downloads.reduce((total, download) => total + of(download), 0);
    const done = sum((download) => download.done);
    const kept = sum((download) => Math.min(download.kept, download.done));
    const total = sum((download) => download.size ?? download.done);
    const bytesPerSecond = this.#rate(now, done - kept);
    const secondsLeft = bytesPerSecond ? (total - done) / bytesPerSecond : null;
    return { done, total, kept, files, bytesPerSecond, secondsLeft };
  }

  #rate(now: number, fresh: number): number | null {
    this.#seen.push({ at: now, fresh });
    while (this.#seen.length > 2 && now - (this.#seen[0]?.at ?? now) > WINDOW_MS) this.#seen.shift();
    const [first] = this.#seen;
    const ms = first ? now - first.at : 0;
    return first && ms >= SETTLED_MS ? Math.max(0, ((fresh - first.fresh) * 1000) / ms) : null;
  }
}
