/** Converts the caller's values for the template: plain data only. */
import { DEEPEST } from "./run.ts";
import { Dict, List, type Value } from "./values.ts";

/** Values that a caller may pass, those inside lists and objects included; a conversation of 200 turns has about 1,000. */
const MOST_VALUES = 1_000_000;

/** A value that is not data, and its place. */
export class NotData extends Error {
  override readonly name = "NotData";
}

/** Values for a template, and the amount of text in them. */
export class HostValues {
  /** UTF-16 units of text seen so far. */
  length = 0;
  /** Values seen so far. One that is in two places counts twice: what it holds is converted twice. */
  #values = 0;
  /** Names and indices that lead to the value being converted. */
  readonly #path: unknown[] = [];

  /**
   * Converts JSON-like data. A number is what JSON.stringify writes: without fraction and exponent, as for those below
   * 1e21 are written, it is an int, so 3.0 becomes 3. Ints of any size can be passed as bigint.
   * @param name the value's name in a message
   */
  convert(value: unknown, name: string): Value {
    this.#path.length = 0;
    try {
      return this.#convertAt(name, value);
    } catch (error) {
      if (error instanceof NotData) throw error;
      // A getter of the caller's, or a proxy.
      throw this.#notData("throws when it is looked at");
    }
  }

  #convertAt(key: unknown, value: unknown): Value {
    this.#path.push(key);
    const converted = this.#converted(value);
    this.#path.pop();
    return converted;
  }

  #converted(value: unknown): Value {
    this.#admit(1);
    if (this.#path.length > DEEPEST + 1) throw this.#notData(`is nested more than ${DEEPEST} levels deep`);
    if (value === null || value === undefined) return null;
    if (typeof value === "string") {
      this.length += value.length;
      return value;
    }
    if (typeof value === "boolean" || typeof value === "bigint") return value;
    if (typeof value === "number") return Number.isInteger(value) && Math.abs(value) < 1e21 ? BigInt(value) : value;
    if (typeof value !== "object") throw this.#notData(`is a ${typeof value}, which no template can use`);
    this.length += 8;
    if (Array.isArray(value) || ArrayBuffer.isView(value)) return this.#list(value as unknown as ArrayLike<unknown>);
    const dict = new Dict();
    if (value instanceof Map) for (const [key, item] of value as Map<unknown, unknown>) this.#set(dict, key, item);
    else for (const key of Object.keys(value)) this.#set(dict, key, (value as Readonly<Record<string, unknown>>)[key]);
    return dict;
  }

  #set(dict: Dict, key: unknown, item: unknown): void {
    if (item === undefined) return;
    const name = this.#convertAt(key, key);
    dict.set(name, this.#convertAt(key, item));
  }

  #list(given: ArrayLike<unknown>): List {
    const { length } = given;
    // A list of holes is long without being large.
    if (this.#values + length > MOST_VALUES) this.#admit(length);
    const items: Value[] = [];
    for (let i = 0; i < length; i++) items.push(this.#convertAt(i, given[i]));
    return new List(items);
  }

  #admit(count: number): void {
    this.#values += count;
    if (this.#values > MOST_VALUES) {
      throw this.#notData(
        `is too large: a template takes at most ${MOST_VALUES} values, those inside lists and objects included`,
      );
    }
  }

  #notData(what: string): NotData {
    const [name, ...keys] = this.#path;
    const place = keys.map((key) => (typeof key === "number" ? `[${key}]` : `.${String(key).slice(0, 60)}`)).join("");
    return new NotData(`${name}${place.length > 120 ? `${place.slice(0, 119)}…` : place} ${what}`);
  }
}
