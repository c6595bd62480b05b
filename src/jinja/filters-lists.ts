/** Filters of lists and other iterables. */
import { attributeGetter, attributesGetter, sorted } from "./attributes.ts";
import { failure } from "./errors.ts";
import { isIterable, iterate, toArray } from "./iterate.ts";
import { usable } from "./keys.ts";
import { type Native, native, wholeArgument } from "./natives.ts";
import { arithmetic, equals, order, truth } from "./operators.ts";
import type { Run } from "./run.ts";
import { charactersOf } from "./text.ts";
import {
  Dict,
  DictView,
  DONE,
  Iteration,
  List,
  Markup,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** The items from the last to the first; undefined if Python's `reversed` raises TypeError. */
function backwards(run: Run, value: Value): readonly Value[] | undefined {
  const known = [List, Tuple, Dict, DictView, Range, Undefined].some((kind) => value instanceof kind);
  if (!known && textOf(value) === undefined) return undefined;
  const items = toArray(run, value);
  run.admitList(items.length);
  return [...items].reverse();
}

/** Python's name of the iterator. */
function backwardsTitle(value: Value): string {
  if (value instanceof List) return "list_reverseiterator object";
  if (value instanceof Range) return "range_iterator object";
  if (value instanceof Dict) return "dict_reversekeyiterator object";
  if (value instanceof DictView) return `dict_reverse${value.kind.replace(/s$/, "")}iterator object`;
  return "reversed object";
}

function reverse(run: Run, self: Value): Value {
  const text = textOf(self);
  if (text !== undefined) {
    const turned = [...charactersOf(run, text)].reverse().join("");
    return self instanceof Markup ? new Markup(turned) : turned;
  }
  const items = backwards(run, self);
  if (items) {
    let at = 0;
    return new Iteration(() => (at < items.length ? (items[at++] as Value) : DONE), backwardsTitle(self));
  }
  if (!isIterable(self)) throw failure("FilterArgumentError", "argument must be iterable");
  return new List([...toArray(run, self)].reverse());
}

function first(run: Run, self: Value): Value {
  const item = iterate(run, self).next();
  return item === DONE ? new Undefined("No first item, sequence was empty.") : item;
}

function last(run: Run, self: Value): Value {
  const items = backwards(run, self);
  if (!items) throw failure("TypeError", `'${typeName(self)}' object is not reversible`);
  return items.length === 0 ? new Undefined("No last item, sequence was empty.") : (items[0] as Value);
}

function random(run: Run, self: Value): Value {
  if (!(self instanceof List || self instanceof Tuple || self instanceof Range || textOf(self) !== undefined)) {
    if (self instanceof Undefined) return new Undefined("No random item, sequence was empty.");
    throw failure("TypeError", `'${typeName(self)}' object is not a sequence`);
  }
  const items = toArray(run, self);
  if (items.length === 0) return new Undefined("No random item, sequence was empty.");
  return items[Math.floor(Math.random() * items.length)] as Value;
}

/** A generator that is made at the first request for an item. */
function lazily(title: string, make: () => Iterator<Value>): Iteration {
  let source: Iterator<Value> | null = null;
  return new Iteration(() => {
    source ??= make();
    const { done, value } = source.next();
    return done ? DONE : value;
  }, `generator object ${title}`);
}

function* through(run: Run, value: Value): Generator<Value> {
  const source = iterate(run, value);
  for (let item = source.next(); item !== DONE; item = source.next()) {
    run.spend(1);
    yield item;
  }
}

function* batches(run: Run, self: Value, count: Value, fill: Value): Generator<Value> {
  let row: Value[] = [];
  for (const item of through(run, self)) {
    if (equals(run, BigInt(row.length), count)) {
      yield new List(row);
      row = [];
    }
    row.push(item);
  }
  if (row.length === 0) return;
  if (fill !== null && order(run, BigInt(row.length), count) < 0) {
    const missing = wholeArgument(count) - row.length;
    run.admitList(missing);
    for (let i = 0; i < missing; i++) row.push(fill);
  }
  yield new List(row);
}

function* slices(run: Run, self: Value, count: Value, fill: Value): Generator<Value> {
  const items = toArray(run, self);
  const total = wholeArgument(count);
  if (total === 0) throw failure("ZeroDivisionError", "integer division or modulo by zero");
  const each = Math.floor(items.length / total);
  const withExtra = items.length - each * total;
  let offset = 0;
  for (let i = 0; i < total; i++) {
    // A list takes about 100 bytes.
    run.spend(15);
    const start = offset + i * each;
    if (i < withExtra) offset++;
    const part = items.slice(start, offset + (i + 1) * each);
    if (fill !== null && i >= withExtra) part.push(fill);
    yield new List(part);
  }
}

function* unique(run: Run, self: Value, caseSensitive: Value, attribute: Value): Generator<Value> {
  const getter = attributeGetter(attribute, truth(run, caseSensitive));
  const seen = new Dict();
  for (const item of through(run, self)) {
    const key = getter(run, item);
    if (seen.has(usable(run, key))) continue;
    seen.set(key, null);
    yield item;
  }
}

function extreme(name: "min" | "max"): Native {
  return native("case_sensitive=False, attribute=None", (run, self, caseSensitive: Value, attribute: Value) => {
    const getter = attributeGetter(attribute, truth(run, caseSensitive));
    let best: Value | undefined;
    let bestKey: Value = null;
    for (const item of through(run, self)) {
      const key = getter(run, item);
      const comes =
        best === undefined || (name === "min" ? order(run, key, bestKey, "<") < 0 : order(run, key, bestKey, ">") > 0);
      if (!comes) continue;
      best = item;
      bestKey = key;
    }
    return best === undefined ? new Undefined("No aggregated item, sequence was empty.") : best;
  });
}

function groupBy(run: Run, self: Value, attribute: Value, fallback: Value, caseSensitive: Value): Value {
  const exact = truth(run, caseSensitive);
  const getter = attributeGetter(attribute, exact, fallback);
  const named = attributeGetter(attribute, true, fallback);
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(run, toArray(run, self), getter, false)) {
    const key = getter(run, item);
    const group = groups.at(-1);
    if (group && equals(run, group.key, key)) group.items.push(item);
    else groups.push({ key, items: [item] });
  }
  return new List(
    groups.map(({ key, items }) => {
      const shown = exact ? key : named(run, items[0] as Value);
      return new Tuple([shown, new List(items)], ["grouper", "list"]);
    }),
  );
}

function sum(run: Run, self: Value, attribute: Value, start: Value): Value {
  if (textOf(start) !== undefined) throw failure("TypeError", "sum() can't sum strings [use ''.join(seq) instead]");
  const getter = attribute === null ? null : attributeGetter(attribute);
  let total = start;
  for (const item of through(run, self)) total = arithmetic(run, "+", total, getter ? getter(run, item) : item);
  return total;
}

export const LIST_FILTERS: readonly (readonly [string, Native])[] = [
  [
    "batch",
    native("linecount, fill_with=None", (run, self, count: Value, fill: Value) =>
      lazily("do_batch", () => batches(run, self, count, fill)),
    ),
  ],
  ["first", native("", first)],
  ["groupby", native("attribute, default=None, case_sensitive=False", groupBy)],
  ["last", native("", last)],
  [
    "list",
    native("", (run, self) => {
      const items = toArray(run, self);
      run.admitList(items.length);
      return new List([...items]);
    }),
  ],
  ["max", extreme("max")],
  ["min", extreme("min")],
  ["random", native("", random)],
  ["reverse", native("", reverse)],
  [
    "slice",
    native("slices, fill_with=None", (run, self, count: Value, fill: Value) =>
      lazily("sync_do_slice", () => slices(run, self, count, fill)),
    ),
  ],
  [
    "sort",
    native(
      "reverse=False, case_sensitive=False, attribute=None",
      (run, self, backward: Value, caseSensitive: Value, attribute: Value) =>
        new List(
          sorted(run, toArray(run, self), attributesGetter(attribute, truth(run, caseSensitive)), truth(run, backward)),
        ),
    ),
  ],
  ["sum", native("attribute=None, start=0", sum)],
  [
    "unique",
    native("case_sensitive=False, attribute=None", (run, self, caseSensitive: Value, attribute: Value) =>
      lazily("sync_do_unique", () => unique(run, self, caseSensitive, attribute)),
    ),
  ],
];
