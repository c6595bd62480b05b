/** Reading the steps of tokenizer.json: normalizers and pre-tokenizers, which are objects with a `type`. */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import { isObject, type JsonObject } from "./json.ts";
import { compilePattern, literalPattern, type Pattern } from "./patterns/pattern.ts";
import { wellFormed } from "./pipeline.ts";

/** Maximum nesting of sequences, and maximum number of steps. */
const DEEPEST = 64;
const MOST_STEPS = 500;

/** A step of tokenizer.json: its place and its fields. */
export class Step {
  readonly type: string;
  readonly #config: JsonObject;
  readonly #place: string;
  readonly #depth: number;
  readonly #count: { steps: number };

  /**
   * @param place of the step in tokenizer.json
   * @throws SluiceError `bad_file` if it is not an object with a `type`
   */
  constructor(config: unknown, place: string, depth = 0, count = { steps: 0 }) {
    this.#place = place;
    this.#depth = depth;
    this.#count = count;
    if (++count.steps > MOST_STEPS) throw this.fail(`has more than ${MOST_STEPS} steps before it`);
    if (depth > DEEPEST) throw this.fail(`is nested more than ${DEEPEST} levels deep`);
    if (!isObject(config) || typeof config.type !== "string") {
      throw this.fail(`is ${show(config)}, and not an object with a \`type\``);
    }
    this.type = config.type;
    this.#config = config;
  }

  /** @param problem the rest of the sentence after the step's place */
  fail(problem: string): SluiceError {
    return new SluiceError("bad_file", `tokenizer.json: \`${this.#place}\` ${problem}`, {
      hint: "Download the file again, or give the prompt as token ids instead of text.",
    });
  }

  unknown(): SluiceError {
    return this.fail(`has the type ${show(this.type)}, which is not supported`);
  }

  /** The field's value; undefined if there is none. */
  get(field: string): unknown {
    return Object.hasOwn(this.#config, field) ? this.#config[field] : undefined;
  }

  /** The steps of a sequence. */
  steps(field: string): Step[] {
    const steps = this.get(field);
    if (!Array.isArray(steps)) throw this.fail(`needs a list of \`${field}\``);
    // The place would grow with the nesting.
    const place = this.#depth < 2 ? `${this.#place}.${field}` : this.#place.replace(/(\[…\])?$/, "[…]");
    return steps.map((config, index) => {
      return new Step(config, this.#depth < 2 ? `${place}[${index}]` : place, this.#depth + 1, this.#count);
    });
  }

  boolean(field: string, fallback: boolean): boolean {
    const value = this.get(field) ?? fallback;
    if (typeof value === "boolean") return value;
    throw this.fail(`has \`${field}\` ${show(value)}, which is neither true nor false`);
  }

  string(field: string): string {
    const value = this.get(field);
    if (typeof value === "string") return wellFormed(value);
    throw this.fail(`needs a text as \`${field}\`, not ${show(value)}`);
  }

  /** A field of one character. */
  character(field: string): string {
    const value = this.string(field);
    if (value !== "" && value.length === ((value.codePointAt(0) as number) > 0xffff ? 2 : 1)) return value;
    throw this.fail(`needs one character as \`${field}\`, not ${show(value)}`);
  }

  oneOf<Choice extends string>(field: string, choices: readonly Choice[], fallback?: Choice): Choice {
    const value = this.get(field) ?? fallback;
    const choice = choices.find((each) => each === value);
    if (choice !== undefined) return choice;
    throw this.fail(`has \`${field}\` ${show(value)}; it is one of ${choices.join(", ")}`);
  }

  /** `{"String": …}` or `{"Regex": …}` */
  pattern(field: string): Pattern {
    const value = this.get(field);
    if (isObject(value)) {
      const { String: literal, Regex: source } = value;
      if (typeof literal === "string") return literalPattern(wellFormed(literal));
      if (typeof source === "string") return compilePattern(wellFormed(source));
    }
    throw this.fail(`needs a \`${field}\` with a String or a Regex, not ${show(value)}`);
  }
}
