/** The place of a value in a call, for the error that refuses it. */
import { type ErrorCode, SluiceError } from "../errors.ts";
import { show, showText } from "../show.ts";
import { isDetached } from "./buffers.ts";

/** Characters of a name that somebody else chose. */
const MOST_NAME = 60;

export class Place {
  /** The function that was called: `generate`, `session.set`. */
  readonly #call: string;
  /** `strengths.calm`, `prompt[3]`. */
  readonly path: string;
  readonly #code: ErrorCode;

  /** @param code of refusals: `usage` for a caller's values, `bad_file` for a file's */
  constructor(call: string, path: string, code: ErrorCode = "usage") {
    this.#call = call;
    this.path = path;
    this.#code = code;
  }

  /** A field of an object here. Fields of options are named without their object, which is clear. */
  field(name: string): Place {
    const shown = /^[\w$-]{1,60}$/.test(name) ? `.${name}` : `[${show(name, MOST_NAME)}]`;
    return new Place(this.#call, this.path === "options" ? showText(name, MOST_NAME) : this.path + shown, this.#code);
  }

  item(index: number): Place {
    return this.within(`[${index}]`);
  }

  /** A part of this value, by the rest of its path. */
  within(suffix: string): Place {
    return new Place(this.#call, this.path + suffix, this.#code);
  }

  /**
   * The error for a value: `generate: maxNewTokens is -1; it takes a whole number of at least 1`.
   * @param takes what is accepted, as a phrase
   */
  refuse(value: unknown, takes: string, hint = hintFor(value), code = this.#code): SluiceError {
    return this.error(`is ${describe(value)}; it takes ${takes}`, hint === undefined ? {} : { hint }, code);
  }

  /** Any other error about this value. */
  error(
    problem: string,
    options: { readonly hint?: string; readonly cause?: unknown } = {},
    code = this.#code,
  ): SluiceError {
    // The command line adds the option for a field.
    const field = /[\w$]*$/.exec(this.path.replace(/\[\d+\]$/, ""))?.[0];
    return new SluiceError(code, `${this.#call}: ${this.path} ${problem}`, { ...options, ...(field && { field }) });
  }
}

function describe(value: unknown): string {
  if (value === undefined) return "missing";
  if (isNumeral(value)) return `the string ${show(value)}`;
  if (Array.isArray(value)) return `the list ${show(value)}`;
  return show(value);
}

function hintFor(value: unknown): string | undefined {
  if (value === null) return "Leave it out for the default.";
  if (isDetached(value)) return "Its buffer was transferred to another thread: give a copy, or transfer one.";
  return isNumeral(value) ? "Number(value) converts such a string." : undefined;
}

function isNumeral(value: unknown): boolean {
  return typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value));
}
