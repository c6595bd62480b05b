/** Filters of numbers, of dictionaries, and of anything. */

import { attributeGetter, sorted } from "./attributes.ts";
import { failure } from "./errors.ts";
import { sizeOf } from "./iterate.ts";
import { jsonOptions, toJson } from "./json.ts";
import { type Native, native, wholeArgument } from "./natives.ts";
import { fixedDigits, parseFloatText, parseInteger, roundFloat, roundInt, toFloat, truncated } from "./numbers.ts";
import { absolute, arithmetic, equals, truth } from "./operators.ts";
import { prettyPrint } from "./pretty.ts";
import type { Run } from "./run.ts";
import { attributeOf } from "./subscript.ts";
import { Dict, DONE, Iteration, intOf, List, Tuple, textOf, typeName, Undefined, type Value } from "./values.ts";

/** `float(value)`; undefined if Python raises TypeError or ValueError. */
function floatOf(run: Run, value: Value): number | undefined {
  if (value instanceof Undefined) value.refuse();
  if (typeof value === "number") return value;
  const text = textOf(value);
  if (text !== undefined) return parseFloatText(run, text);
  const whole = intOf(value);
  return whole === undefined ? undefined : toFloat(whole);
}

function toInt(run: Run, value: Value, fallback: Value, base: Value): Value {
  if (value instanceof Undefined) value.refuse();
  const text = textOf(value);
  if (text !== undefined) {
    const radix = wholeArgument(base);
    const valid = radix === 0 || (radix >= 2 && radix <= 36);
    const whole = valid ? parseInteger(run, text, radix) : undefined;
    if (whole !== undefined) return whole;
  } else {
    const whole = intOf(value);
    if (whole !== undefined) return whole;
    if (typeof value === "number" && !Number.isNaN(value)) return truncated(value);
  }
  const float = floatOf(run, value);
  return float === undefined || !Number.isFinite(float) ? fallback : truncated(float);
}

function round(run: Run, value: Value, precision: Value, method: Value): Value {
  if (method !== "common" && method !== "ceil" && method !== "floor") {
    throw failure("FilterArgumentError", "method must be common, ceil or floor");
  }
  if (method !== "common") {
    const unit = arithmetic(run, "**", 10n, precision);
    const scaled = arithmetic(run, "*", value, unit);
    const whole = intOf(scaled) ?? (typeof scaled === "number" ? ceilOrFloor(scaled, method) : undefined);
    if (whole === undefined) throw failure("TypeError", `must be real number, not ${typeName(scaled)}`);
    return arithmetic(run, "/", whole, unit);
  }
  if (value instanceof Undefined) throw failure("TypeError", "type Undefined doesn't define __round__ method");
  const digits = precision === null ? 0 : wholeArgument(precision);
  run.spend(16 + (Math.min(Math.abs(digits), 5000) >> 2));
  const whole = intOf(value);
  if (whole !== undefined) return roundInt(whole, digits);
  if (typeof value !== "number") throw failure("TypeError", `type ${typeName(value)} doesn't define __round__ method`);
  return precision === null ? truncated(roundFloat(value, 0)) : roundFloat(value, digits);
}

function ceilOrFloor(value: number, method: "ceil" | "floor"): bigint {
  return truncated(Number.isFinite(value) ? Math[method](value) : value);
}

function fileSize(run: Run, value: Value, binary: Value): string {
  const bytes = floatOf(run, value);
  if (bytes === undefined) throw failure("ValueError", "could not convert to float");
  const isBinary = truth(run, binary);
  const base = isBinary ? 1024 : 1000;
  if (bytes === 1) return "1 Byte";
  if (bytes < base) return `${truncated(bytes)} Bytes`;
  const prefixes = isBinary ? "KMGTPEZY" : "kMGTPEZY";
  let text = "";
  for (let i = 0; i < prefixes.length; i++) {
    const unit = base ** (i + 2);
    const amount = (base * bytes) / unit;
    const digits = Number.isFinite(amount) ? fixedDigits(amount, 1) : Number.isNaN(amount) ? "nan" : "inf";
    text = `${digits} ${prefixes[i]}${isBinary ? "iB" : "B"}`;
    if (bytes < unit) break;
  }
  return text;
}

const length: Native = native("", (run, self) => {
  const size = sizeOf(run, self);
  if (size === undefined) throw failure("TypeError", `object of type '${typeName(self)}' has no len()`);
  return BigInt(size);
});

const orDefault: Native = native("default_value='', boolean=False", (run, self, fallback: Value, boolean: Value) =>
  self instanceof Undefined || (truth(run, boolean) && !truth(run, self)) ? fallback : self,
);

function dictSort(run: Run, self: Value, caseSensitive: Value, by: Value, reverse: Value): Value {
  const place = ["key", "value"].findIndex((name) => equals(run, by, name));
  if (place < 0) throw failure("FilterArgumentError", 'You can only sort by either "key" or "value"');
  if (self instanceof Undefined) self.refuse();
  if (!(self instanceof Dict)) throw failure("AttributeError", `'${typeName(self)}' object has no attribute 'items'`);
  const items = Array.from(self.entries(), ({ key, value }) => new Tuple([key, value]));
  const getter = attributeGetter(null, truth(run, caseSensitive));
  return new List(
    sorted(run, items, (r, item) => getter(r, (item as Tuple).items[place] as Value), truth(run, reverse)),
  );
}

const items: Native = native("", (_run, self) => {
  let entries: Iterator<Readonly<{ key: Value; value: Value }>> | null = null;
  return new Iteration(() => {
    if (self instanceof Undefined) return DONE;
    if (!(self instanceof Dict)) throw failure("TypeError", "Can only get item pairs from a mapping.");
    entries ??= self.entries()[Symbol.iterator]();
    const { done, value } = entries.next();
    return done ? DONE : new Tuple([value.key, value.value]);
  }, "generator object do_items");
});

const attr: Native = native("name", (run, self, name: Value) => {
  const text = textOf(name);
  if (text === undefined) throw failure("TypeError", "attribute name must be string");
  const found = attributeOf(run, self, text);
  return found === undefined
    ? new Undefined(`'${typeName(self)} object' has no attribute '${text.slice(0, 60)}'`)
    : found;
});

export const VALUE_FILTERS: readonly (readonly [string, Native])[] = [
  ["abs", native("", (_run, self) => (self instanceof Undefined ? self.refuse() : absolute(self)))],
  ["attr", attr],
  ["count", length],
  ["length", length],
  ["d", orDefault],
  ["default", orDefault],
  ["dictsort", native("case_sensitive=False, by='key', reverse=False", dictSort)],
  ["filesizeformat", native("binary=False", fileSize)],
  [
    "float",
    native("default=0.0", (run, self, fallback: Value) => {
      const float = floatOf(run, self);
      return float === undefined ? fallback : float;
    }),
  ],
  ["int", native("default=0, base=10", toInt)],
  ["items", items],
  ["pprint", native("", (run, self) => prettyPrint(run, self))],
  ["round", native("precision=0, method='common'", round)],
  [
    "tojson",
    native(
      "ensure_ascii=False, indent=None, separators=None, sort_keys=False",
      (run, self, ascii: Value, indent: Value, separators: Value, sort: Value) =>
        toJson(run, self, jsonOptions(run, ascii, indent, separators, sort)),
    ),
  ],
];
