/** Converts the caller's values for the template: plain data only. */
import { DEEPEST } from "./run.ts";
import { Dict, List, type Value } from "./values.ts";

/** A value that is not data, and its place. */
export class NotData extends Error {
  override readonly name = "NotData";
}

/** Values for a template, and the amount of text in them. */
export class HostValues {
  /** UTF-16 units of text seen so far. */
  length = 0;

  /**
   * Converts JSON-like data. A number is what JSON.stringify writes: without fraction and exponent, as for those below
   * 1e21 are written, it is an int, so 3.0 becomes 3. Ints of any size can be passed as bigint.
   * @param path the value's name in a message
   */
  convert(value: unknown, path: string, depth = 0): Value {
    if (depth > DEEPEST) throw new NotData(`${path.slice(0, 60)}… is nested more than ${DEEPEST} levels deep`);
    if (value === null || value === undefined) return null;
    if (typeof value === "string") {
      this.length += value.length;
      return value;
    }
    if (typeof value === "boolean" || typeof value === "bigint") return value;
    if (typeof value === "number") return Number.isInteger(value) && Math.abs(value) < 1e21 ? BigInt(value) : value;
    if (typeof value !== "object") throw new NotData(`${path} is a ${typeof value}, which no template can use`);
    this.length += 8;
    if (Array.isArray(value) || ArrayBuffer.isView(value)) {
      const items = Array.from(value as ArrayLike<unknown>);
      return new List(items.map((item, i) => this.convert(item, `${path}[${i}]`, depth + 1)));
    }
    const dict = new Dict();
    const entries = value instanceof Map ? value : Object.entries(value);
    for (const [key, item] of entries as Iterable<[unknown, unknown]>) {
      if (item === undefined) continue;
      const name = this.convert(key, `${path}'s key`, depth + 1);
      dict.set(name, this.convert(item, `${path}.${String(key).slice(0, 60)}`, depth + 1));
    }
    return dict;
  }
}
