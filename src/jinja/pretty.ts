/** `pprint`: values over several lines of 80 characters, as Python's pprint lays them out. */
import { isFailure } from "./errors.ts";
import { order } from "./operators.ts";
import { quoted, repr } from "./repr.ts";
import { checkDepth, type Run } from "./run.ts";
import { linesOf } from "./text.ts";
import { Dict, List, Tuple, typeName, type Value } from "./values.ts";

const WIDTH = 80;

export function prettyPrint(run: Run, value: Value): string {
  return new Printer(run).format(value, 0, 0, 0);
}

class Printer {
  readonly #run: Run;

  constructor(run: Run) {
    this.#run = run;
  }

  /** @param indent column at which the value begins @param allowance characters that must follow it on its last line */
  format(value: Value, indent: number, allowance: number, level: number): string {
    checkDepth(level);
    const text = this.#repr(value, level);
    this.#run.admitText(text.length + indent);
    if (text.length <= WIDTH - indent - allowance) return text;
    if (value instanceof Dict) return `{${this.#dict(value, indent + 1, allowance + 1, level + 1)}}`;
    if (value instanceof List) return `[${this.#items(value.items, indent + 1, allowance + 1, level + 1)}]`;
    if (value instanceof Tuple) {
      const end = value.items.length === 1 ? ",)" : ")";
      return `(${this.#items(value.items, indent + 1, allowance + end.length, level + 1)}${end}`;
    }
    return typeof value === "string" ? this.#string(value, indent, allowance, level + 1, text) : text;
  }

  /** `repr` with the keys of dictionaries in order. */
  #repr(value: Value, depth: number): string {
    checkDepth(depth);
    if (value instanceof Dict) {
      const items = this.#sorted(value).map(
        ([key, item]) => `${this.#repr(key, depth + 1)}: ${this.#repr(item, depth + 1)}`,
      );
      return this.#joined("{", items, "}");
    }
    if (value instanceof List)
      return this.#joined(
        "[",
        value.items.map((item) => this.#repr(item, depth + 1)),
        "]",
      );
    if (value instanceof Tuple) {
      const items = value.items.map((item) => this.#repr(item, depth + 1));
      return this.#joined("(", items, items.length === 1 ? ",)" : ")");
    }
    return repr(this.#run, value);
  }

  #joined(open: string, items: readonly string[], close: string): string {
    this.#run.spend(1 + items.length);
    this.#run.admitText(items.reduce((sum, item) => sum + item.length + 2, 2));
    const text = open + items.join(", ") + close;
    this.#run.scan(text.length);
    return text;
  }

  /** Entries by key; keys without an order are sorted by the name of their type. */
  #sorted(dict: Dict): [Value, Value][] {
    const entries = Array.from(dict.entries(), ({ key, value }): [Value, Value] => [key, value]);
    return entries.sort(([a], [b]) => {
      try {
        return order(this.#run, a, b);
      } catch (error) {
        if (!isFailure(error, "TypeError", "UndefinedError")) throw error;
        return typeName(a) < typeName(b) ? -1 : 1;
      }
    });
  }

  #dict(dict: Dict, indent: number, allowance: number, level: number): string {
    const entries = this.#sorted(dict);
    const parts = entries.map(([key, value], i) => {
      const name = this.#repr(key, level);
      return `${name}: ${this.format(value, indent + name.length + 2, i === entries.length - 1 ? allowance : 1, level)}`;
    });
    return parts.join(`,\n${" ".repeat(indent)}`);
  }

  #items(items: readonly Value[], indent: number, allowance: number, level: number): string {
    const parts = items.map((item, i) => this.format(item, indent, i === items.length - 1 ? allowance : 1, level));
    return parts.join(`,\n${" ".repeat(indent)}`);
  }

  #string(text: string, start: number, after: number, level: number, whole: string): string {
    if (text === "") return whole;
    this.#run.spend(3 * text.length);
    const outermost = level === 1;
    const indent = start + (outermost ? 1 : 0);
    const allowance = after + (outermost ? 1 : 0);
    const width = WIDTH - indent;
    const lines = linesOf(this.#run, text, true);
    const chunks: string[] = [];
    lines.forEach((line, i) => {
      const isLast = i === lines.length - 1;
      const literal = quoted(this.#run, line);
      if (literal.length <= width - (isLast ? allowance : 0)) chunks.push(literal);
      else chunks.push(...this.#words(line, width, isLast ? allowance : 0));
    });
    if (chunks.length === 1) return quoted(this.#run, lines.at(-1) as string);
    const body = chunks.join(`\n${" ".repeat(indent)}`);
    return outermost ? `(${body})` : body;
  }

  /** A line as literals of whole words. */
  #words(line: string, width: number, allowance: number): string[] {
    const parts = line.match(/\S+\s*|\s+/g) ?? [];
    const chunks: string[] = [];
    let current = "";
    parts.forEach((part, i) => {
      const room = width - (i === parts.length - 1 ? allowance : 0);
      const candidate = current + part;
      if (quoted(this.#run, candidate).length > room) {
        if (current) chunks.push(quoted(this.#run, current));
        current = part;
      } else current = candidate;
    });
    if (current) chunks.push(quoted(this.#run, current));
    return chunks;
  }
}
