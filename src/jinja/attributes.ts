/** Looking up `a.b.0` in items, and order by it: shared by `map`, `sort`, `groupby` and others. */
import { order } from "./operators.ts";
import { limit, type Run } from "./run.ts";
import { getItem } from "./subscript.ts";
import { List, textOf, Undefined, type Value } from "./values.ts";

export type Getter = (run: Run, item: Value) => Value;

const same: Getter = (_run, item) => item;

/** Strings in lower case; everything else as it is. */
function ignoreCase(run: Run, value: Value): Value {
  const text = textOf(value);
  if (text === undefined) return value;
  run.scan(text.length);
  return text.toLowerCase();
}

/** Parts of an attribute's path, and attributes of a list: no template names a hundred. */
const MOST_PARTS = 1000;

function checkParts(parts: number): void {
  if (parts > MOST_PARTS) throw limit("names too many attributes");
}

function partsOf(attribute: Value): Value[] {
  if (attribute === null) return [];
  const text = textOf(attribute);
  if (text === undefined) return [attribute];
  const parts = text.split(".", MOST_PARTS + 1);
  checkParts(parts.length);
  return parts.map((part) => (/^\d+$/.test(part) ? BigInt(part) : part));
}

/** @param fallback replaces missing attributes, unless it is None */
export function attributeGetter(attribute: Value, caseSensitive = true, fallback: Value = null): Getter {
  const parts = partsOf(attribute);
  if (parts.length === 0 && caseSensitive) return same;
  return (run, item) => {
    let value = item;
    for (const part of parts) {
      run.spend(1);
      value = getItem(run, value, part);
      if (fallback !== null && value instanceof Undefined) value = fallback;
    }
    return caseSensitive ? value : ignoreCase(run, value);
  };
}

/** The values of several attributes, with commas between their names, as a list. */
export function attributesGetter(attribute: Value, caseSensitive: boolean): Getter {
  const text = textOf(attribute);
  const names = text === undefined ? [attribute] : text.split(",", MOST_PARTS + 1);
  checkParts(names.length);
  const getters = names.map((one) => attributeGetter(one, caseSensitive));
  return (run, item) => new List(getters.map((getter) => getter(run, item)));
}

/** `sorted(items, key=…, reverse=…)`: equal items keep their order. */
export function sorted(run: Run, items: readonly Value[], key: Getter, reverse: boolean): Value[] {
  run.admitList(items.length * (1 + Math.ceil(Math.log2(items.length + 1))));
  const keyed = items.map((item) => ({ item, key: key(run, item) }));
  const sign = reverse ? -1 : 1;
  // Python only compares with `<`; otherwise incomparable values count as equal.
  keyed.sort((a, b) => sign * (order(run, a.key, b.key) || 0));
  return keyed.map(({ item }) => item);
}
