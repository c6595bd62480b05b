/** Shows progress on stderr for work that takes more than a second. */
import type { TextOutput } from "./output.ts";
import { type Counted, Pace } from "./pace.ts";

/** Work shorter than this is not mentioned. */
const SILENT_MS = 1000;
/** Between two updates of the line on a terminal. */
const REDRAW_MS = 100;
/** Milliseconds that work with its own progress may be silent before {@link during} reports for it. */
const QUIET_MS = 3000;
/** Between two lines in a log. */
const LOG_MS = 10_000;

const ERASE_LINE = "\r\u001b[K";

/**
 * On a terminal: one line, overwritten. Elsewhere: a line when the work changes, and every ten seconds.
 */
export class Progress {
  readonly #stderr: TextOutput;
  readonly #now: () => number;
  #started: number | undefined;
  #shownAt = Number.NEGATIVE_INFINITY;
  #shownLabel = "";
  #drawn = false;
  /** The last progress reported, and when; undefined if that work is done. */
  #told: { readonly label: string; readonly detail: string; readonly at: number } | undefined;
  /** The pieces of work that {@link during} waits for. */
  #waits = 0;
  #pace: { readonly label: string; readonly pace: Pace } | undefined;

  constructor(stderr: TextOutput, now: () => number = () => performance.now()) {
    this.#stderr = stderr;
    this.#now = now;
  }

  /**
   * Shows the progress of work that measures it.
   * @param label such as "loading weights": a new one is shown at once
   * @param detail such as "34 %"
   * @param through this work is done, so that {@link during} may report again
   */
  update(label: string, detail: string, through = false): void {
    this.#told = through ? undefined : { label, detail, at: this.#now() };
    this.#show(label, detail);
  }

  /**
   * Shows progress with its rate and the time left, as soon as these are known.
   * @param label as for {@link update}
   */
  count(label: string, counted: Counted): void {
    if (this.#pace?.label !== label) this.#pace = { label, pace: new Pace(this.#now) };
    this.update(label, this.#pace.pace.describe(counted), counted.done >= counted.total);
  }

  /** Whether work is being awaited, so that a line about it disturbs nothing else. */
  get isWaiting(): boolean {
    return this.#waits > 0;
  }

  /** Shows a label with the seconds passed, while the work reports no progress. */
  async during<T>(label: string, work: Promise<T>): Promise<T> {
    const begun = this.#now();
    this.#started ??= begun;
    this.#waits++;
    const timer = setInterval(() => {
      const told = this.#told;
      if (!told) this.#show(label, `(${secondsSince(begun, this.#now())})`);
      // A step may take long, so show that the work continues.
      else if (this.#now() - told.at >= QUIET_MS) {
        this.#show(told.label, `${told.detail} (for ${secondsSince(told.at, this.#now())})`);
      }
    }, SILENT_MS);
    try {
      return await work;
    } finally {
      clearInterval(timer);
      this.#waits--;
      this.clear();
    }
  }

  /** Clears the line: the work is done, or other text follows. */
  clear(): void {
    if (this.#drawn) this.#stderr.write(ERASE_LINE);
    this.#drawn = false;
    this.#told = undefined;
    this.#started = undefined;
    this.#pace = undefined;
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

function secondsSince(then: number, now: number): string {
  return `${Math.round((now - then) / 1000)} s`;
}
