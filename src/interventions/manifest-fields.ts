/** Reads the fields of a manifest one by one, strictly: nothing is coerced, and a refusal names file, stage and field. */
import { SluiceError } from "../errors.ts";
import { show, showText } from "../show.ts";

export class ManifestFields {
  readonly #where: string;
  readonly #path: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  /**
   * @param json an object of the manifest
   * @param where names file and stage in errors
   * @param path of the object within the stage or the manifest, empty at its top
   */
  constructor(json: unknown, where: string, path = "") {
    if (typeof json !== "object" || json === null || Array.isArray(json)) {
      throw refuse(where, path || "the manifest", `is ${show(json)}, not an object`);
    }
    this.#where = where;
    this.#path = path;
    this.#fields = json as Readonly<Record<string, unknown>>;
  }

  /** Refuses fields that nothing would read: a typing error must not pass for a default. */
  only(known: readonly string[]): void {
    const unknown = Object.keys(this.#fields).find((name) => !known.includes(name));
    if (unknown !== undefined) {
      throw this.refuse(showText(unknown), "is not a field here", `The fields are ${known.join(", ")}.`);
    }
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name);
  }

  /** The raw field, which must be there. */
  raw(name: string): unknown {
    if (!this.has(name)) throw this.refuse(name, "is missing");
    return this.#fields[name];
  }

  string(name: string): string {
    const value = this.raw(name);
    if (typeof value !== "string") throw this.refuse(name, `is ${show(value)}, not a string`);
    return value;
  }

  /** One of a list of words. */
  word<const Word extends string>(name: string, words: readonly Word[]): Word {
    const value = this.raw(name);
    const word = words.find((candidate) => candidate === value);
    if (word === undefined) {
      throw this.refuse(name, `is ${show(value)}, which is unknown`, `Known are ${words.join(", ")}.`);
    }
    return word;
  }

  /** A number that stays finite as float32, which is what shaders compute with. */
  number(name: string): number {
    const value = this.raw(name);
    if (!isFloat32(value)) throw this.refuse(name, `is ${show(value)}, not a finite float32 number`);
    return value;
  }

  integer(name: string, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
    const value = this.raw(name);
    if (!isInteger(value, min, max)) {
      const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
      throw this.refuse(name, `is ${show(value)}, not a whole number ${range}`);
    }
    return value;
  }

  list(name: string): readonly unknown[] {
    const value = this.raw(name);
    if (!Array.isArray(value)) throw this.refuse(name, `is ${show(value)}, not a list`);
    return value;
  }

  object(name: string): ManifestFields {
    return new ManifestFields(this.raw(name), this.#where, this.#name(name));
  }

  /** The error for a field: where, its name, what is wrong. */
  refuse(name: string, problem: string, hint?: string): SluiceError {
    return refuse(this.#where, this.#name(name), problem, hint);
  }

  #name(name: string): string {
    return this.#path ? `${this.#path}.${name}` : name;
  }
}

/** The error of a bundle: where, the field, what is wrong with it, and what to do. */
export function refuse(where: string, field: string, problem: string, hint?: string): SluiceError {
  return new SluiceError("bad_bundle", `${where}: ${field} ${problem}`, hint === undefined ? {} : { hint });
}

export function isInteger(value: unknown, min: number, max: number = Number.MAX_SAFE_INTEGER): value is number {
  return Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max;
}

export function isFloat32(value: unknown): value is number {
  return typeof value === "number" && Number.isFinite(Math.fround(value));
}
