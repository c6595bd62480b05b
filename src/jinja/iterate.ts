/** Iterates over values like Python's `iter`. */
import { failure } from "./errors.ts";
import type { Run } from "./run.ts";
import { charactersOf, lengthOf } from "./text.ts";
import {
  Custom,
  Dict,
  DictView,
  DONE,
  Iteration,
  List,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** An object that iterates over something else: `loop`. */
export abstract class IterableCustom extends Custom {
  abstract iterate(run: Run): Iteration;
}

/** The items of a value that holds them all; undefined for generators and for values that are not iterable. */
export function itemsAtHand(run: Run, value: Value): readonly Value[] | undefined {
  if (value instanceof List || value instanceof Tuple) return value.items;
  if (value instanceof Undefined) return [];
  const text = textOf(value);
  if (text !== undefined) return charactersOf(run, text);
  if (value instanceof Dict) {
    run.admitList(value.size);
    return value.keys();
  }
  if (value instanceof DictView) {
    run.admitList(2 * value.dict.size);
    return value.toArray();
  }
  return undefined;
}

/** An iterator over a value. @throws TypeError if Python's `iter` does */
export function iterate(run: Run, value: Value): Iteration {
  if (value instanceof Iteration) return value;
  if (value instanceof IterableCustom) return value.iterate(run);
  if (value instanceof Range) {
    let index = 0;
    return new Iteration(() => (index < value.length ? value.at(index++) : DONE), "range_iterator object");
  }
  const items = itemsAtHand(run, value);
  if (!items) throw failure("TypeError", `'${typeName(value)}' object is not iterable`);
  let index = 0;
  return new Iteration(
    () => (index < items.length ? (items[index++] as Value) : DONE),
    `${typeName(value)}_iterator object`,
  );
}

export function isIterable(value: Value): boolean {
  return (
    value instanceof Iteration ||
    value instanceof IterableCustom ||
    value instanceof Range ||
    value instanceof List ||
    value instanceof Tuple ||
    value instanceof Dict ||
    value instanceof DictView ||
    value instanceof Undefined ||
    textOf(value) !== undefined
  );
}

/** All items. The array may belong to the value: do not change it. */
export function toArray(run: Run, value: Value): readonly Value[] {
  const items = itemsAtHand(run, value);
  if (items) return items;
  if (value instanceof Range) run.admitList(value.length);
  const source = iterate(run, value);
  const result: Value[] = [];
  for (let item = source.next(); item !== DONE; item = source.next()) {
    run.spend(1);
    result.push(item);
  }
  return result;
}

/** `len(value)`; undefined if Python raises TypeError. */
export function sizeOf(run: Run, value: Value): number | undefined {
  const text = textOf(value);
  if (text !== undefined) return lengthOf(run, text);
  if (value instanceof List || value instanceof Tuple) return value.items.length;
  if (value instanceof Dict) return value.size;
  if (value instanceof DictView) return value.dict.size;
  if (value instanceof Range) return value.length;
  if (value instanceof Undefined) return 0;
  if (value instanceof Custom) {
    const length = value.attribute(run, "__len__");
    return typeof length === "bigint" ? Number(length) : undefined;
  }
  return undefined;
}
