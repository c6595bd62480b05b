/** Where a value stands in a call, for the sentence that refuses it. */
import { type ErrorCode, SluiceError } from "../errors.ts";
import { show } from "../show.ts";

export class Place {
  /** The function that was called: `generate`, `session.set`. */
  readonly #call: string;
  /** `strengths.calm`, `prompt[3]`. */
  readonly path: string;
  readonly #code: ErrorCode;

  /** @param code of refusals: `usage` for what a caller gave, `bad_file` for what a file holds */
  constructor(call: string, path: string, code: ErrorCode = "usage") {
    this.#call = call;
    this.path = path;
    this.#code = code;
  }

  /** A field of an object here. Fields of options are named alone: everybody knows where they stand. */
  field(name: string): Place {
    const shown = /^[\w$-]{1,60}$/.test(name) ? `.${name}` : `[${show(name, 60)}]`;
    return new Place(this.#call, this.path === "options" ? name : this.path + shown, this.#code);
  }

  item(index: number): Place {
    return this.within(`[${index}]`);
  }

  /** A part of what stands here, by what its path has more. */
  within(suffix: string): Place {
    return new Place(this.#call, this.path + suffix, this.#code);
  }

  /**
   * The error for a value: `generate: maxNewTokens is -1; it takes a whole number of at least 1`.
   * @param takes what would be taken, as a phrase
   */
  refuse(value: unknown, takes: string, hint = hintFor(value), code = this.#code): SluiceError {
    return this.error(`is ${describe(value)}; it takes ${takes}`, hint === undefined ? {} : { hint }, code);
  }

  /** Any other error about what stands here. */
  error(problem: string, options: { readonly hint?: string } = {}, code = this.#code): SluiceError {
    // The command line names the option that a field stands for.
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
  return isNumeral(value) ? "Number(value) makes a number of such a string." : undefined;
}

function isNumeral(value: unknown): boolean {
  return typeof value === "string" && value.trim() !== "" && Number.isFinite(Number(value));
}
