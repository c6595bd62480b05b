/** All tests, by name: the names after `is`. */
import { QUESTIONS } from "./case.ts";
import { isIterable } from "./iterate.ts";
import { type Native, native } from "./natives.ts";
import { arithmetic, type Comparison, compare, equals } from "./operators.ts";
import { str } from "./repr.ts";
import type { Run } from "./run.ts";
import { Callable, Custom, Dict, intOf, List, Markup, Range, Tuple, textOf, Undefined, type Value } from "./values.ts";

const is = (holds: (value: Value) => boolean): Native => native("", (_run, self) => holds(self));

const remainder = (run: Run, value: Value, by: Value, wanted: bigint): boolean =>
  equals(run, arithmetic(run, "%", value, by), wanted);

const comparison = (operator: Comparison): Native =>
  native("b, /", (run, self, other: Value) => compare(run, operator, self, other));

const inCase = (question: string): Native =>
  native("", (run, self) => {
    const text = str(run, self);
    run.spend(1 + text.length);
    return QUESTIONS.get(question)?.(text) ?? false;
  });

/** Text, lists, tuples, dictionaries and ranges have a length and items. */
function isSequence(value: Value): boolean {
  const kinds = [List, Tuple, Dict, Range, Undefined];
  return textOf(value) !== undefined || kinds.some((kind) => value instanceof kind);
}

/** Whether it is callable. In Python, undefined values claim to be. */
function isCallable(value: Value): boolean {
  if (value instanceof Custom) return value.type === "LoopContext" || value.type === "Joiner";
  return value instanceof Callable || value instanceof Undefined;
}

const same: Native = native("other", (_run, self, other: Value) => self === other);

/** Whether this name exists. A list cannot be a name; Python raises an error for one. */
const exists = (names: () => ReadonlyMap<string, Native>): Native =>
  native("", (_run, self) => {
    const name = textOf(self);
    if (name === undefined) new Dict().has(self);
    return name !== undefined && names().has(name);
  });

/** @param filters all filters, for the test that looks one up */
export function makeTests(filters: () => ReadonlyMap<string, Native>): ReadonlyMap<string, Native> {
  const tests: ReadonlyMap<string, Native> = new Map<string, Native>([
    ["odd", native("", (run, self) => remainder(run, self, 2n, 1n))],
    ["even", native("", (run, self) => remainder(run, self, 2n, 0n))],
    ["divisibleby", native("num", (run, self, num: Value) => remainder(run, self, num, 0n))],
    ["defined", is((value) => !(value instanceof Undefined))],
    ["undefined", is((value) => value instanceof Undefined)],
    ["filter", exists(filters)],
    ["test", exists(() => tests)],
    ["none", is((value) => value === null)],
    ["boolean", is((value) => typeof value === "boolean")],
    ["false", is((value) => value === false)],
    ["true", is((value) => value === true)],
    ["integer", is((value) => typeof value === "bigint")],
    ["float", is((value) => typeof value === "number")],
    ["lower", inCase("islower")],
    ["upper", inCase("isupper")],
    ["string", is((value) => textOf(value) !== undefined)],
    ["mapping", is((value) => value instanceof Dict)],
    ["number", is((value) => typeof value === "number" || intOf(value) !== undefined)],
    ["sequence", is(isSequence)],
    ["iterable", is(isIterable)],
    ["callable", is(isCallable)],
    ["sameas", same],
    ["escaped", is((value) => value instanceof Markup)],
    ["in", native("seq", (run, self, container: Value) => compare(run, "in", self, container))],
    ...(["==", "eq", "equalto"] as const).map((name) => [name, comparison("==")] as const),
    ...(["!=", "ne"] as const).map((name) => [name, comparison("!=")] as const),
    ...([">", "gt", "greaterthan"] as const).map((name) => [name, comparison(">")] as const),
    ...([">=", "ge"] as const).map((name) => [name, comparison(">=")] as const),
    ...(["<", "lt", "lessthan"] as const).map((name) => [name, comparison("<")] as const),
    ...(["<=", "le"] as const).map((name) => [name, comparison("<=")] as const),
  ]);
  return tests;
}
