/** `tojson` as transformers defines it: `json.dumps` without escaping of HTML. */
import { failure } from "./errors.ts";
import { floatText } from "./numbers.ts";
import { order, truth } from "./operators.ts";
import { str, wholeText } from "./repr.ts";
import { checkDepth, type Run } from "./run.ts";
import { replaceEach } from "./text.ts";
import { Dict, intOf, List, Namespace, Tuple, textOf, typeName, type Value } from "./values.ts";

export interface JsonOptions {
  readonly ensureAscii: boolean;
  /** The indentation of a level; null for everything on one line. */
  readonly indent: string | null;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sortKeys: boolean;
}

/** Reads the keyword arguments of `json.dumps`. */
export function jsonOptions(
  run: Run,
  ensureAscii: Value,
  indent: Value,
  separators: Value,
  sortKeys: Value,
): JsonOptions {
  const spaces = intOf(indent);
  const unit =
    indent === null ? null : spaces === undefined ? textOf(indent) : " ".repeat(spaces > 0n ? Number(spaces) : 0);
  if (spaces !== undefined) run.admitText(Number(spaces));
  if (unit === undefined) throw failure("TypeError", `indent cannot be a ${typeName(indent)}`);
  const given = separators instanceof Tuple || separators instanceof List ? separators.items : undefined;
  const [item, key] = given ? [textOf(given[0] ?? null), textOf(given[1] ?? null)] : [unit === null ? ", " : ",", ": "];
  if ((separators !== null && given?.length !== 2) || item === undefined || key === undefined) {
    throw failure("TypeError", "separators must be two texts");
  }
  return {
    ensureAscii: truth(run, ensureAscii),
    indent: unit,
    itemSeparator: item,
    keySeparator: key,
    sortKeys: truth(run, sortKeys),
  };
}

export function toJson(run: Run, value: Value, options: JsonOptions): string {
  return new Writer(run, options).write(value, 0);
}

class Writer {
  readonly #run: Run;
  readonly #options: JsonOptions;

  constructor(run: Run, options: JsonOptions) {
    this.#run = run;
    this.#options = options;
  }

  write(value: Value, depth: number): string {
    checkDepth(depth);
    this.#run.spend(3);
    const scalar = this.#scalar(value);
    if (scalar !== undefined) return scalar;
    const text = textOf(value);
    if (text !== undefined) return this.#string(text);
    if (value instanceof List || value instanceof Tuple) {
      return this.#wrap("[", value.items, "]", depth, (item) => this.write(item, depth + 1));
    }
    if (value instanceof Dict) {
      const entries = [...value.entries()];
      if (this.#options.sortKeys) entries.sort((a, b) => order(this.#run, a.key, b.key));
      return this.#wrap("{", entries, "}", depth, (entry) => {
        const key = this.#string(this.#key(entry.key));
        return `${key}${this.#options.keySeparator}${this.write(entry.value, depth + 1)}`;
      });
    }
    const type = value instanceof Namespace ? "Namespace" : typeName(value);
    throw failure("TypeError", `Object of type ${type} is not JSON serializable`);
  }

  #wrap<T>(open: string, items: readonly T[], close: string, depth: number, write: (item: T) => string): string {
    if (items.length === 0) return open + close;
    const { indent, itemSeparator } = this.#options;
    const line = indent === null ? "" : `\n${indent.repeat(depth + 1)}`;
    let result = open;
    for (let i = 0; i < items.length; i++) {
      result += `${i > 0 ? itemSeparator : ""}${line}${write(items[i] as T)}`;
      this.#run.admitText(result.length);
    }
    return `${result}${indent === null ? "" : `\n${indent.repeat(depth)}`}${close}`;
  }

  #scalar(value: Value): string | undefined {
    if (value === null) return "null";
    if (typeof value === "boolean") return value ? "true" : "false";
    if (typeof value === "bigint") return wholeText(this.#run, value);
    if (typeof value !== "number") return undefined;
    if (Number.isFinite(value)) return floatText(value);
    return Number.isNaN(value) ? "NaN" : value < 0 ? "-Infinity" : "Infinity";
  }

  #key(key: Value): string {
    const text = textOf(key);
    if (text !== undefined) return text;
    const scalar = this.#scalar(key);
    if (scalar === undefined) {
      throw failure("TypeError", `keys must be str, int, float, bool or None, not ${typeName(key)}`);
    }
    return typeof key === "bigint" ? str(this.#run, key) : scalar;
  }

  #string(text: string): string {
    this.#run.scan(text.length);
    const escaped = JSON.stringify(text);
    // Each escape is longer than what it stands for.
    this.#run.spend(escaped.length - text.length);
    // JSON.stringify escapes lone surrogates, which Python keeps.
    const body = escaped.replace(/\\(?:u(d[89a-f][0-9a-f]{2})|[\s\S])/g, (all, unit: string | undefined) =>
      unit === undefined ? all : String.fromCharCode(Number.parseInt(unit, 16)),
    );
    this.#run.scan(body.length);
    if (!this.#options.ensureAscii) return body;
    return replaceEach(body, /[^\0-~]/g, (unit) => {
      this.#run.spend(1);
      return `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;
    });
  }
}
