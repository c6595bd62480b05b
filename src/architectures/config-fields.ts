/** Reads and checks the fields of a configuration file; every refusal names field, value and file. */
import { SluiceError } from "../errors.ts";
import { show, showText } from "../show.ts";

/** Counts and sizes reach shaders as u32, and products of two of them must stay exact. */
const MAX_INTEGER = 2 ** 31 - 1;

/** Receives notices for the user. */
export type Notice = (message: string) => void;

export class ConfigFields {
  readonly label: string;
  /** Receives notices about fields that are ignored or read differently. */
  readonly note: Notice;
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #prefix: string;

  /**
   * @param json the parsed file
   * @param label names the file in errors
   * @param note receives notices about ignored fields
   * @param prefix of the fields' names in errors, such as `rope_scaling.`
   */
  constructor(json: unknown, label: string, note: Notice, prefix = "") {
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      const what = prefix ? `${prefix.slice(0, -1)} is ${show(json)}` : `the file is ${show(json)}`;
      throw new SluiceError("bad_config", `${label}: ${what}, not an object of fields`);
    }
    this.label = label;
    this.note = note;
    this.#fields = json as Record<string, unknown>;
    this.#prefix = prefix;
  }

  /** Whether the field exists, even as null. */
  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name) && this.#fields[name] !== undefined;
  }

  /** Names of all fields. */
  get names(): readonly string[] {
    return Object.keys(this.#fields);
  }

  /** The unchecked field; undefined if it is absent or null, which Python writes for None. */
  raw(name: string): unknown {
    return this.has(name) ? (this.#fields[name] ?? undefined) : undefined;
  }

  /** A whole number from `min` to `max`. Without a fallback the field is required. */
  integer(name: string, fallback?: number, min = 1, max = MAX_INTEGER): number {
    const value = this.raw(name) ?? fallback;
    if (!Number.isSafeInteger(value) || (value as number) < min || (value as number) > max) {
      throw this.refuse(name, `it must be a whole number from ${min} to ${max}`);
    }
    return value as number;
  }

  /** A finite number above 0. */
  positive(name: string, fallback?: number): number {
    const value = this.raw(name) ?? fallback;
    if (typeof value !== "number" || !Number.isFinite(value) || value <= 0) {
      throw this.refuse(name, "it must be a number above 0");
    }
    return value;
  }

  /** A list of `count` finite numbers above 0. */
  positives(name: string, count: number): readonly number[] {
    const value = this.raw(name);
    const isPositive = (item: unknown): boolean => typeof item === "number" && Number.isFinite(item) && item > 0;
    if (!Array.isArray(value) || value.length !== count || !value.every(isPositive)) {
      throw this.refuse(name, `it must be a list of ${count} numbers above 0`);
    }
    return value as readonly number[];
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.raw(name) ?? fallback;
    if (typeof value !== "boolean") throw this.refuse(name, "it must be true or false");
    return value;
  }

  string(name: string, fallback?: string): string {
    const value = this.raw(name) ?? fallback;
    if (typeof value !== "string") throw this.refuse(name, "it must be a string");
    return value;
  }

  /** The fields of a nested object; undefined if it is absent or null. */
  object(name: string): ConfigFields | undefined {
    const value = this.raw(name);
    return value === undefined
      ? undefined
      : new ConfigFields(value, this.label, this.note, `${showText(`${this.#prefix}${name}`)}.`);
  }

  /**
   * Token ids given as a number or a list, without repeats; undefined if there are none. Ids that the vocabulary does
   * not have, and values that are not ids, are ignored: models with such fields exist and run.
   * null and -1, which mean "none", pass silently.
   */
  tokens(name: string, vocabulary: number): readonly number[] | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const given: readonly unknown[] = Array.isArray(value) ? value : [value];
    const isUsable = (id: unknown): id is number =>
      Number.isSafeInteger(id) && (id as number) >= 0 && (id as number) < vocabulary;
    const unusable = given.find((id) => !isUsable(id) && id !== null && id !== -1);
    if (unusable !== undefined) {
      this.note(
        `${this.label}: ${this.#prefix}${name} holds ${show(unusable)}, which is not an id within the vocabulary of ` +
          `${vocabulary}; it is ignored`,
      );
    }
    const ids = [...new Set(given.filter(isUsable))];
    return ids.length > 0 || given.length === 0 ? ids : undefined;
  }

  /** The first spelling that is given. If several are given, they must agree. */
  spelling(...names: readonly [string, ...string[]]): string {
    const given = names.filter((name) => this.raw(name) !== undefined);
    const [first = names[0], ...others] = given;
    const contrary = others.find((name) => this.raw(name) !== this.raw(first));
    if (contrary !== undefined) {
      throw this.refuse(
        first,
        `but ${this.#prefix}${contrary} is ${show(this.raw(contrary))}, and both have the same meaning`,
      );
    }
    return first;
  }

  /** Whether no field has a value. */
  get isEmpty(): boolean {
    return Object.keys(this.#fields).every((name) => this.raw(name) === undefined);
  }

  /** The error for a field: its name, its value and the fault. */
  refuse(name: string, problem: string, hint?: string): SluiceError {
    const value = this.has(name) ? `is ${show(this.#fields[name])}` : "is missing";
    return new SluiceError(
      "bad_config",
      `${this.label}: ${this.#prefix}${name} ${value}; ${problem}`,
      hint === undefined ? {} : { hint },
    );
  }
}
