/**
 * One rendering: its budget, its clock, and whether it escapes HTML.
 *
 * The budget makes every rendering end within a second or two and in little memory. All work is counted in steps,
 * not in time, so that the same template with the same conversation always ends the same way.
 */
import { TemplateError } from "./errors.ts";

/** Steps of a rendering: a conversation of 200 turns takes about 100,000, the worst templates half a second for all. */
const STEPS = 3_000_000;
/** Longest text that a template may make, in UTF-16 units. */
const LONGEST_TEXT = 1 << 23;
/** Deepest nesting of values, and of calls. */
export const DEEPEST = 300;
const DEEPEST_CALLS = 150;

export interface RunOptions {
  /** The clock of `strftime_now`. */
  readonly now?: (() => Date) | undefined;
  /** UTF-16 units of text that the caller passes in: long conversations may take more steps. */
  readonly inputLength?: number;
}

export class Run {
  /** Whether HTML is escaped here: false unless `{% autoescape true %}`. */
  autoescape = false;
  /** The line of the statement being run, for messages. */
  line = 1;
  readonly now: () => Date;
  readonly #longest: number;
  #steps: number;
  #calls = 0;

  constructor(options: RunOptions = {}) {
    const input = options.inputLength ?? 0;
    this.now = options.now ?? (() => new Date());
    this.#steps = STEPS + 4 * input;
    this.#longest = Math.max(LONGEST_TEXT, 4 * input);
  }

  /** Takes steps from the budget. */
  spend(steps: number): void {
    this.#steps -= steps;
    if (this.#steps < 0) throw limit("takes too many steps");
  }

  /** Takes the steps of a pass of a native operation over a text. */
  scan(length: number): void {
    this.spend(1 + (length >> 3));
  }

  /** Admits a text of this length before it is made. */
  admitText(length: number): void {
    if (!(length <= this.#longest)) throw limit(`makes a text of more than ${this.#longest} characters`);
  }

  /** Admits a list of this length before it is made. */
  admitList(length: number): void {
    if (!(length <= this.#steps)) throw limit("makes a list that is too long");
    this.spend(length);
  }

  /** Runs a call, and refuses endless recursion. */
  nested<T>(call: () => T): T {
    if (this.#calls >= DEEPEST_CALLS) throw limit("calls itself too deeply");
    this.#calls++;
    const result = call();
    this.#calls--;
    return result;
  }
}

/** The error of a template that does too much. */
export function limit(what: string): TemplateError {
  return new TemplateError("limit", "Limit", `the template ${what}`);
}

/** Refuses values that are nested too deeply, before the host's stack does. */
export function checkDepth(depth: number): void {
  if (depth > DEEPEST) throw limit("nests values too deeply");
}
