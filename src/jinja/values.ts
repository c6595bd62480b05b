/**
 * Python's values as templates see them. None is `null`; bool, int, float and str are `boolean`, `bigint`, `number`
 * and `string`; everything else is a {@link Thing}. No JavaScript object is reachable from a template:
 * attributes are looked up in our tables, and dictionaries are Maps.
 */
import { failure, type PythonError } from "./errors.ts";
import type { Run } from "./run.ts";

export type Value = null | boolean | bigint | number | string | Thing;
export type Arguments = readonly Value[];
export type Keywords = ReadonlyMap<string, Value>;

export const NO_KEYWORDS: Keywords = new Map();

/** A value that is not one of JavaScript's primitives. */
export abstract class Thing {
  /** Python's name of the type. */
  abstract readonly type: string;
}

/** Text that needs no more HTML escaping: `x | safe`, and results of `{% autoescape true %}`. */
export class Markup extends Thing {
  readonly type = "Markup";
  readonly text: string;

  constructor(text: string) {
    super();
    this.text = text;
  }
}

export class List extends Thing {
  readonly type = "list";
  readonly items: readonly Value[];

  constructor(items: readonly Value[]) {
    super();
    this.items = items;
  }
}

export class Tuple extends Thing {
  readonly type = "tuple";
  readonly items: readonly Value[];
  /** Names of the items, as in the groups of `groupby`. */
  readonly names: readonly string[];

  constructor(items: readonly Value[], names: readonly string[] = []) {
    super();
    this.items = items;
    this.names = names;
  }
}

interface Entry {
  readonly key: Value;
  value: Value;
}

/** A dictionary in the order of insertion. Keys that are equal in Python (`1`, `1.0`, `true`) are one key. */
export class Dict extends Thing {
  readonly type = "dict";
  readonly #entries = new Map<unknown, Entry>();

  static from(entries: Iterable<readonly [Value, Value]>): Dict {
    const dict = new Dict();
    for (const [key, value] of entries) dict.set(key, value);
    return dict;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: Value): Value | undefined {
    return this.#entries.get(identity(key))?.value;
  }

  has(key: Value): boolean {
    return this.#entries.has(identity(key));
  }

  /** For makers of the dictionary only: templates cannot change one. */
  set(key: Value, value: Value): void {
    const id = identity(key);
    const entry = this.#entries.get(id);
    if (entry) entry.value = value;
    else this.#entries.set(id, { key, value });
  }

  entries(): Iterable<Readonly<Entry>> {
    return this.#entries.values();
  }

  keys(): Value[] {
    return Array.from(this.#entries.values(), (entry) => entry.key);
  }
}

/** The key in the Map, which follows Python's hash and equality. */
function identity(key: Value): unknown {
  if (typeof key === "string") return key.startsWith("\0") ? `\0s${key}` : key;
  if (typeof key === "boolean") return key ? 1n : 0n;
  if (typeof key === "number") return Number.isInteger(key) ? BigInt(key) : key;
  if (key instanceof Markup) return identity(key.text);
  if (key instanceof Tuple) return `\0t${key.items.map((item) => tagged(identity(item))).join("")}`;
  if (key instanceof Undefined) return "\0u";
  if (key instanceof List || key instanceof Dict) throw failure("TypeError", `unhashable type: '${key.type}'`);
  return key;
}

/** A tuple's key as unique text. */
function tagged(id: unknown): string {
  if (id !== null && typeof id === "object")
    throw failure("TypeError", "a key of this kind is not supported in a tuple");
  const text = String(id);
  return `${typeof id}:${text.length}:${text}`;
}

/** `d.keys()`, `d.values()` and `d.items()`. */
export class DictView extends Thing {
  readonly dict: Dict;
  readonly kind: "keys" | "values" | "items";

  constructor(dict: Dict, kind: "keys" | "values" | "items") {
    super();
    this.dict = dict;
    this.kind = kind;
  }

  get type(): string {
    return `dict_${this.kind}`;
  }

  toArray(): Value[] {
    return Array.from(this.dict.entries(), ({ key, value }) => {
      if (this.kind === "items") return new Tuple([key, value]);
      return this.kind === "keys" ? key : value;
    });
  }
}

export class Range extends Thing {
  readonly type = "range";
  readonly start: bigint;
  readonly stop: bigint;
  readonly step: bigint;
  readonly length: number;

  constructor(start: bigint, stop: bigint, step: bigint) {
    super();
    this.start = start;
    this.stop = stop;
    this.step = step;
    const span = step > 0n ? stop - start : start - stop;
    const stride = step > 0n ? step : -step;
    this.length = span <= 0n ? 0 : Number((span + stride - 1n) / stride);
  }

  at(index: number): bigint {
    return this.start + BigInt(index) * this.step;
  }
}

/** The end of an iteration. */
export const DONE = Symbol("done");

/** A generator, returned by `map`, `select`, `batch` and others. */
export class Iteration extends Thing {
  readonly type: string;
  readonly next: () => Value | typeof DONE;
  /** The name that Python would print. */
  readonly title: string;

  constructor(next: () => Value | typeof DONE, title = "generator object", type = "generator") {
    super();
    this.next = next;
    this.title = title;
    this.type = type;
  }
}

/** A missing variable, attribute or item: prints as nothing, is false and empty, and refuses everything else. */
export class Undefined extends Thing {
  readonly type = "Undefined";
  readonly #message: string;
  readonly #error: PythonError;

  constructor(message: string, error: PythonError = "UndefinedError") {
    super();
    this.#message = message;
    this.#error = error;
  }

  refuse(): never {
    throw failure(this.#error, this.#message);
  }
}

/** `namespace(…)`: the only object whose attributes a template can set. */
export class Namespace extends Thing {
  readonly type = "Namespace";
  readonly attributes: Dict;

  constructor(attributes: Dict) {
    super();
    this.attributes = attributes;
  }
}

/** A callable: a macro, a method with its object, a global function. */
export class Callable extends Thing {
  readonly type: string;
  readonly title: string;
  readonly call: (run: Run, args: Arguments, keywords: Keywords) => Value;
  readonly attributes: ReadonlyMap<string, Value>;

  constructor(
    title: string,
    call: (run: Run, args: Arguments, keywords: Keywords) => Value,
    type = "function",
    attributes: ReadonlyMap<string, Value> = NO_KEYWORDS,
  ) {
    super();
    this.title = title;
    this.call = call;
    this.type = type;
    this.attributes = attributes;
  }
}

/** An object with computed attributes: `loop`, a `cycler`, a `joiner`. */
export abstract class Custom extends Thing {
  abstract attribute(run: Run, name: string): Value | undefined;
  /** Some can be called. */
  call(_run: Run, _args: Arguments, _keywords: Keywords): Value {
    throw failure("TypeError", `'${this.type}' object is not callable`);
  }
}

/** Python's name of a value's type. */
export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (value instanceof Thing) return value.type;
  return ({ boolean: "bool", bigint: "int", number: "float", string: "str" } as Record<string, string>)[
    typeof value
  ] as string;
}

/** The text of a str or Markup; undefined for everything else. */
export function textOf(value: Value): string | undefined {
  if (typeof value === "string") return value;
  return value instanceof Markup ? value.text : undefined;
}

/** An int or bool as an int; undefined for everything else. */
export function intOf(value: Value): bigint | undefined {
  if (typeof value === "bigint") return value;
  return typeof value === "boolean" ? (value ? 1n : 0n) : undefined;
}
