/** The methods and attributes of all values except text. */
import { failure } from "./errors.ts";
import { toArray } from "./iterate.ts";
import { usable } from "./keys.ts";
import { clampRange, type Native, native } from "./natives.ts";
import { equals, ratioOf } from "./operators.ts";
import type { Run } from "./run.ts";
import {
  type Arguments,
  Dict,
  DictView,
  intOf,
  type Keywords,
  List,
  type Range,
  Tuple,
  textOf,
  typeName,
  type Value,
} from "./values.ts";

/** An attribute that is not a method. */
export type Property = (value: Value) => Value;

const dict = (self: Value): Dict => self as Dict;

const DICT: ReadonlyMap<string, Native> = new Map([
  ["keys", native("", (_run, self) => new DictView(dict(self), "keys"))],
  ["values", native("", (_run, self) => new DictView(dict(self), "values"))],
  ["items", native("", (_run, self) => new DictView(dict(self), "items"))],
  [
    "get",
    native("key, default=None, /", (run, self, key: Value, fallback: Value) => {
      const value = dict(self).get(usable(run, key));
      return value === undefined ? fallback : value;
    }),
  ],
  ["copy", native("", (run, self) => copyOf(run, dict(self)))],
  [
    "fromkeys",
    native("iterable, value=None, /", (run, _self, keys: Value, value: Value) => dictFromKeys(run, keys, value)),
  ],
]);

/** An entry takes about 100 bytes. */
const ENTRY_STEPS = 4;

function copyOf(run: Run, source: Dict): Dict {
  run.admitList(ENTRY_STEPS * source.size);
  const copy = new Dict();
  for (const { key, value } of source.entries()) copy.set(key, value);
  return copy;
}

export function dictFromKeys(run: Run, keys: Value, value: Value): Dict {
  const result = new Dict();
  for (const key of toArray(run, keys)) {
    run.spend(ENTRY_STEPS);
    result.set(usable(run, key), value);
  }
  return result;
}

/** `dict(…)`: from another dictionary, from pairs, and from keyword arguments. */
export function makeDict(run: Run, args: Arguments, keywords: Keywords): Dict {
  if (args.length > 1) throw failure("TypeError", `dict expected at most 1 argument, got ${args.length}`);
  const [source] = args;
  const result = source instanceof Dict ? copyOf(run, source) : new Dict();
  if (source !== undefined && !(source instanceof Dict)) {
    for (const pair of toArray(run, source)) {
      const items = toArray(run, pair);
      if (items.length !== 2) {
        throw failure("ValueError", `dictionary update sequence element has length ${items.length}; 2 is required`);
      }
      run.spend(ENTRY_STEPS);
      result.set(usable(run, items[0] as Value), items[1] as Value);
    }
  }
  for (const [key, value] of keywords) result.set(key, value);
  return result;
}

const itemsOf = (self: Value): readonly Value[] => (self as List | Tuple).items;

const SEQUENCE: ReadonlyMap<string, Native> = new Map([
  [
    "count",
    native("value, /", (run, self, value: Value) =>
      BigInt(itemsOf(self).filter((item) => equals(run, item, value)).length),
    ),
  ],
  [
    "index",
    native("value, start=None, end=None, /", (run, self, value: Value, start: Value, end: Value) => {
      const items = itemsOf(self);
      const [from, to] = clampRange(start, end, items.length);
      for (let i = from; i < to; i++) if (equals(run, items[i] as Value, value)) return BigInt(i);
      throw failure("ValueError", `the value is not in the ${typeName(self)}`);
    }),
  ],
]);

const LIST: ReadonlyMap<string, Native> = new Map([
  ...SEQUENCE,
  [
    "copy",
    native("", (run, self) => {
      run.admitList(itemsOf(self).length);
      return new List([...itemsOf(self)]);
    }),
  ],
]);

/** The index of a number in a range. */
function placeIn(range: Range, value: Value): bigint | undefined {
  const number = intOf(value);
  if (number === undefined) return undefined;
  const offset = number - range.start;
  const index = offset / range.step;
  return offset % range.step === 0n && index >= 0n && index < BigInt(range.length) ? index : undefined;
}

const RANGE: ReadonlyMap<string, Native> = new Map([
  ["count", native("value, /", (_run, self, value: Value) => (placeIn(self as Range, value) === undefined ? 0n : 1n))],
  [
    "index",
    native("value, /", (_run, self, value: Value) => {
      const place = placeIn(self as Range, value);
      if (place === undefined) throw failure("ValueError", "the value is not in the range");
      return place;
    }),
  ],
]);

const INT: ReadonlyMap<string, Native> = new Map([
  ["bit_length", native("", (_run, self) => BigInt(bits(self).replace(/^0$/, "").length))],
  ["bit_count", native("", (_run, self) => BigInt(bits(self).replace(/0/g, "").length))],
  ["conjugate", native("", (_run, self) => intOf(self) as bigint)],
  ["as_integer_ratio", native("", (_run, self) => new Tuple([intOf(self) as bigint, 1n]))],
]);

function bits(value: Value): string {
  return (intOf(value) as bigint).toString(2).replace("-", "");
}

const FLOAT: ReadonlyMap<string, Native> = new Map([
  ["is_integer", native("", (_run, self) => Number.isInteger(self))],
  ["conjugate", native("", (_run, self) => self)],
  [
    "as_integer_ratio",
    native("", (_run, self) => {
      if (!Number.isFinite(self)) throw failure("OverflowError", "cannot convert this float to an integer ratio");
      return ratioOf(self as number);
    }),
  ],
]);

const INT_PROPERTIES: ReadonlyMap<string, Property> = new Map<string, Property>([
  ["real", (value) => intOf(value) as bigint],
  ["imag", () => 0n],
  ["numerator", (value) => intOf(value) as bigint],
  ["denominator", () => 1n],
]);
const FLOAT_PROPERTIES: ReadonlyMap<string, Property> = new Map<string, Property>([
  ["real", (value) => value],
  ["imag", () => 0],
]);
const RANGE_PROPERTIES: ReadonlyMap<string, Property> = new Map<string, Property>([
  ["start", (value) => (value as Range).start],
  ["stop", (value) => (value as Range).stop],
  ["step", (value) => (value as Range).step],
]);
const VIEW_PROPERTIES: ReadonlyMap<string, Property> = new Map<string, Property>([
  ["mapping", (value) => (value as DictView).dict],
]);

const METHODS: ReadonlyMap<string, ReadonlyMap<string, Native>> = new Map([
  ["dict", DICT],
  ["list", LIST],
  ["tuple", SEQUENCE],
  ["range", RANGE],
  ["int", INT],
  ["bool", INT],
  ["float", FLOAT],
]);
const PROPERTIES: ReadonlyMap<string, ReadonlyMap<string, Property>> = new Map([
  ["int", INT_PROPERTIES],
  ["bool", INT_PROPERTIES],
  ["float", FLOAT_PROPERTIES],
  ["range", RANGE_PROPERTIES],
  ["dict_keys", VIEW_PROPERTIES],
  ["dict_values", VIEW_PROPERTIES],
  ["dict_items", VIEW_PROPERTIES],
]);

/** Methods that would change a value: they exist, and the sandbox refuses them. */
const FORBIDDEN: ReadonlyMap<string, ReadonlySet<string>> = new Map([
  ["dict", new Set(["clear", "pop", "popitem", "setdefault", "update"])],
  ["list", new Set(["append", "clear", "pop", "reverse", "insert", "sort", "extend", "remove"])],
]);

export function methodOf(value: Value, name: string): Native | undefined {
  return METHODS.get(typeName(value))?.get(name);
}

export function propertyOf(value: Value, name: string): Property | undefined {
  if (value instanceof Tuple && value.names.includes(name)) {
    return () => value.items[value.names.indexOf(name)] as Value;
  }
  return PROPERTIES.get(typeName(value))?.get(name);
}

export function isForbidden(value: Value, name: string): boolean {
  return FORBIDDEN.get(typeName(value))?.has(name) ?? false;
}

/** Checks that this is text, for keyword arguments given as a dictionary. */
export function keywordsFrom(run: Run, value: Value): [string, Value][] {
  if (!(value instanceof Dict))
    throw failure("TypeError", `argument after ** must be a mapping, not ${typeName(value)}`);
  run.admitList(value.size);
  return Array.from(value.entries(), ({ key, value: item }) => {
    const name = textOf(key);
    if (name === undefined) throw failure("TypeError", "keywords must be strings");
    return [name, item];
  });
}
