/** How far the work is, on stderr, for whatever takes more than a second. */
import type { TextOutput } from "./output.ts";

/** Work shorter than this is not mentioned. */
const SILENT_MS = 1000;
/** Between two updates of the line on a terminal. */
const REDRAW_MS = 100;
/** Between two lines in a log. */
const LOG_MS = 10_000;

const ERASE_LINE = "\r\u001b[K";

/**
 * On a terminal one line that is written over; elsewhere a line when the work changes and every ten seconds.
 */
export class Progress {
  readonly #stderr: TextOutput;
  readonly #now: () => number;
  #started: number | undefined;
  #shownAt = Number.NEGATIVE_INFINITY;
  #shownLabel = "";
  #drawn = false;
  /** Work that tells how far it is, and is not through. */
  #telling = false;

  constructor(stderr: TextOutput, now: () => number = () => performance.now()) {
    this.#stderr = stderr;
    this.#now = now;
  }

  /**
   * Tells how far work is that counts its own progress.
   * @param label such as "loading weights": a new one is shown at once
   * @param detail such as "34 %"
   * @param through nothing more will come of it, so that {@link during} may speak again
   */
  update(label: string, detail: string, through = false): void {
    this.#telling = !through;
    this.#show(label, detail);
  }

  /** Shows a label with the seconds passed, while work goes on that tells nothing of itself. */
  async during<T>(label: string, work: Promise<T>): Promise<T> {
    const begun = this.#now();
    this.#started ??= begun;
    const timer = setInterval(() => {
      if (!this.#telling) this.#show(label, `(${Math.round((this.#now() - begun) / 1000)} s)`);
    }, SILENT_MS);
    try {
      return await work;
    } finally {
      clearInterval(timer);
      this.clear();
    }
  }

  /** Takes the line away: the work is done, or something else is to be written. */
  clear(): void {
    if (this.#drawn) this.#stderr.write(ERASE_LINE);
    this.#drawn = false;
    this.#telling = false;
    this.#started = undefined;
    this.#shownLabel = "";
    this.#shownAt = Number.NEGATIVE_INFINITY;
  }

  #show(label: string, detail: string): void {
    const now = this.#now();
    this.#started ??= now;
    if (now - this.#started < SILENT_MS) return;
    const pause = this.#stderr.interactive ? REDRAW_MS : LOG_MS;
    if (label === this.#shownLabel && now - this.#shownAt < pause) return;
    this.#shownLabel = label;
    this.#shownAt = now;
    const line = `sluice: ${label} ${detail}`;
    if (this.#stderr.interactive) {
      this.#drawn = true;
      this.#stderr.write(`${ERASE_LINE}${line.slice(0, this.#stderr.columns - 1)}`);
    } else {
      this.#stderr.write(`${line}\n`);
    }
  }
}
