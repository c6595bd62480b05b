/** The metadata of a GGUF file by key, with the types that its readers expect. Every refusal names key, value and file. */
import { SluiceError } from "../../errors.ts";
import { show, showText } from "../../show.ts";
import { type MetadataList, type MetadataValue, Texts } from "./value.ts";

export class Metadata {
  /** Names the file in errors. */
  readonly where: string;
  readonly #fields: ReadonlyMap<string, MetadataValue>;

  constructor(fields: ReadonlyMap<string, MetadataValue>, where: string) {
    this.#fields = fields;
    this.where = where;
  }

  has(key: string): boolean {
    return this.#fields.has(key);
  }

  text(key: string): string | undefined {
    const value = this.#fields.get(key);
    if (value === undefined || typeof value === "string") return value;
    throw this.refuse(key, "it must be a text");
  }

  boolean(key: string): boolean | undefined {
    const value = this.#fields.get(key);
    if (value === undefined || typeof value === "boolean") return value;
    throw this.refuse(key, "it must be true or false");
  }

  /** A number; or the one that a list repeats, since some writers give a number for each layer. */
  number(key: string): number | undefined {
    const value = this.#fields.get(key);
    if (value === undefined || typeof value === "number") return value;
    const list = this.numbers(key) ?? [];
    const first = list[0];
    if (first === undefined) throw this.refuse(key, "it must be a number");
    for (let i = 1; i < list.length; i++) {
      if (list[i] !== first) throw this.refuse(key, "models whose layers differ in it are not supported");
    }
    return first;
  }

  /** A whole number from 0 up. */
  whole(key: string): number | undefined {
    const value = this.number(key);
    if (value === undefined || (Number.isSafeInteger(value) && value >= 0)) return value;
    throw this.refuse(key, "it must be a whole number");
  }

  /** A whole number that must be there. */
  needed(key: string): number {
    const value = this.whole(key);
    if (value !== undefined) return value;
    throw this.refuse(key, "the model cannot be run without it");
  }

  /** A float as the file's writer meant it: 0.00001 for the float32 that is nearest to it. */
  float(key: string): number | undefined {
    const value = this.number(key);
    return value === undefined ? undefined : shortest(value);
  }

  numbers(key: string): ArrayLike<number> | undefined {
    const value = this.#fields.get(key);
    if (value === undefined) return undefined;
    if (isList(value) && !(value instanceof Texts) && !Array.isArray(value)) return value as ArrayLike<number>;
    throw this.refuse(key, "it must be a list of numbers");
  }

  texts(key: string): Texts | undefined {
    const value = this.#fields.get(key);
    if (value === undefined || value instanceof Texts) return value;
    throw this.refuse(key, "it must be a list of texts");
  }

  /** The error for a field: its key, its value and the fault. */
  refuse(key: string, problem: string, hint?: string): SluiceError {
    const value = this.#fields.get(key);
    const is = value === undefined ? "is missing" : `is ${isList(value) ? `a list of ${value.length}` : show(value)}`;
    return new SluiceError("bad_config", `${this.where}: ${showText(key)} ${is}; ${problem}`, {
      hint: hint ?? "The file is damaged, or was written by a program that leaves out what llama.cpp writes.",
    });
  }
}

function isList(value: MetadataValue): value is MetadataList {
  return typeof value === "object";
}

/** The shortest decimal number whose float32 is the value; the value itself, if it is none. */
function shortest(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}
