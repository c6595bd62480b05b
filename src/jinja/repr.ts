/** `str(value)` and `repr(value)`. */
import { floatText, intText } from "./numbers.ts";
import { checkDepth, type Run } from "./run.ts";
import { replaceEach } from "./text.ts";
import {
  Callable,
  Custom,
  Dict,
  DictView,
  Iteration,
  List,
  Markup,
  Namespace,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** `str(value)`: printed by `{{ value }}`. */
export function str(run: Run, value: Value): string {
  if (typeof value === "string") return value;
  if (value instanceof Markup) return value.text;
  return value instanceof Undefined ? "" : repr(run, value);
}

/** `repr(value)`: printed for items of lists and dictionaries. */
export function repr(run: Run, value: Value, depth = 0): string {
  checkDepth(depth);
  run.spend(3);
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "bigint") return wholeText(run, value);
  if (typeof value === "number") return floatText(value);
  if (typeof value === "string") return quoted(run, value);
  if (value instanceof Markup) return `Markup(${quoted(run, value.text)})`;
  if (value instanceof List) return `[${listed(run, value.items, depth)}]`;
  if (value instanceof Tuple) return `(${listed(run, value.items, depth)}${value.items.length === 1 ? "," : ""})`;
  if (value instanceof Dict) return dictRepr(run, value, depth);
  if (value instanceof DictView) return `dict_${value.kind}([${listed(run, value.toArray(), depth)}])`;
  if (value instanceof Range) {
    const step = value.step === 1n ? "" : `, ${value.step}`;
    return `range(${value.start}, ${value.stop}${step})`;
  }
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Namespace) return `<Namespace ${dictRepr(run, value.attributes, depth)}>`;
  if (value instanceof Iteration) return `<${value.title} at 0x0>`;
  if (value instanceof Callable) return value.title;
  if (value instanceof Custom) {
    const own = textOf(value.attribute(run, "__repr__") ?? null);
    return own ?? `<jinja2.utils.${typeName(value)} object at 0x0>`;
  }
  return `<${typeName(value)} object at 0x0>`;
}

/** A whole number; making its digits takes time. */
export function wholeText(run: Run, value: bigint): string {
  const text = intText(value);
  run.spend(text.length >> 4);
  return text;
}

function listed(run: Run, items: readonly Value[], depth: number): string {
  let text = "";
  for (const item of items) {
    text += `${text === "" ? "" : ", "}${repr(run, item, depth + 1)}`;
    run.admitText(text.length);
  }
  return text;
}

function dictRepr(run: Run, dict: Dict, depth: number): string {
  let text = "";
  for (const { key, value } of dict.entries()) {
    text += `${text === "" ? "" : ", "}${repr(run, key, depth + 1)}: ${repr(run, value, depth + 1)}`;
    run.admitText(text.length);
  }
  return `{${text}}`;
}

/** Characters that Python prints as escapes: controls, unassigned, lone surrogates, and all spaces but the plain one. */
const UNPRINTABLE = /[\p{C}\p{Z}\\'](?<! )/gu;

/** A string as a Python literal. */
export function quoted(run: Run, text: string): string {
  run.scan(text.length);
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const body = replaceEach(text, UNPRINTABLE, (character) => {
    run.spend(1);
    if (character === "'") return quote === "'" ? "\\'" : "'";
    return ESCAPES[character] ?? escaped(character);
  });
  run.admitText(body.length);
  return quote + body + quote;
}

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

function escaped(character: string): string {
  const code = character.codePointAt(0) as number;
  if (code <= 0xff) return `\\x${code.toString(16).padStart(2, "0")}`;
  if (code <= 0xffff) return `\\u${code.toString(16).padStart(4, "0")}`;
  return `\\U${code.toString(16).padStart(8, "0")}`;
}

/** Whether every character is printable in the sense of `str.isprintable`. */
export function isPrintable(text: string): boolean {
  return !/[\p{C}\p{Z}](?<! )/u.test(text);
}
