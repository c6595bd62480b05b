/** `value.name`, `value[key]` and `value[a:b:c]`, by the rules of Jinja's immutable sandbox. */
import { failure, isFailure } from "./errors.ts";
import { formatText, type Lookup } from "./format.ts";
import { iterate } from "./iterate.ts";
import { usable } from "./keys.ts";
import { isForbidden, methodOf, propertyOf } from "./methods.ts";
import type { Native } from "./natives.ts";
import { wholeArgument } from "./natives.ts";
import { repr } from "./repr.ts";
import type { Run } from "./run.ts";
import { STRING_METHODS } from "./string-methods.ts";
import { charactersOf, escapeHtml, isPlain } from "./text.ts";
import {
  Callable,
  Custom,
  Dict,
  DONE,
  intOf,
  List,
  Markup,
  Namespace,
  NO_KEYWORDS,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Attributes that every object of Python has, all blocked by the sandbox. */
const HIDDEN = new Set(
  (
    "class doc eq ne lt le gt ge hash init new repr str format dir reduce reduce_ex sizeof subclasshook " +
    "getattribute setattr delattr init_subclass dict module call func self name qualname code globals closure " +
    "getitem len iter contains add mul"
  )
    .split(" ")
    .map((name) => `__${name}__`),
);

/** `value.name`: the attribute, else the item of that name. */
export function getAttribute(run: Run, value: Value, name: string): Value {
  const attribute = attributeOf(run, value, name);
  if (attribute !== undefined) return attribute;
  const item = itemOf(run, value, name);
  return item === undefined ? undefinedOf(value, name) : item;
}

/** `value[key]`: the item, else the attribute of that name. */
export function getItem(run: Run, value: Value, key: Value): Value {
  const item = itemOf(run, value, key);
  if (item !== undefined) return item;
  const name = textOf(key);
  const attribute = name === undefined ? undefined : attributeOf(run, value, name);
  return attribute === undefined ? undefinedOf(value, key, run) : attribute;
}

function undefinedOf(value: Value, key: Value, run?: Run): Undefined {
  const what = value === null ? "None" : `${typeName(value)} object`;
  if (typeof key === "string") return new Undefined(`'${what}' has no attribute '${key}'`);
  return new Undefined(`${what} has no element${run ? ` ${repr(run, key).slice(0, 100)}` : ""}`);
}

/** An item; undefined if Python raises TypeError or LookupError. */
function itemOf(run: Run, value: Value, key: Value): Value | undefined {
  if (value instanceof Dict) {
    try {
      return value.get(usable(run, key));
    } catch (error) {
      if (isFailure(error, "TypeError")) return undefined;
      throw error;
    }
  }
  if (value instanceof Undefined) value.refuse();
  const index = intOf(key);
  if (index === undefined) return undefined;
  if (value instanceof List || value instanceof Tuple) return value.items[placeOf(index, value.items.length)];
  if (value instanceof Range) {
    const place = placeOf(index, value.length);
    return place >= 0 && place < value.length ? value.at(place) : undefined;
  }
  const text = textOf(value);
  if (text === undefined) return undefined;
  run.scan(text.length);
  const characters = isPlain(text) ? text : charactersOf(run, text);
  const character = characters[placeOf(index, characters.length)];
  return character !== undefined && value instanceof Markup ? new Markup(character) : character;
}

function placeOf(index: bigint, length: number): number {
  return Number(index < 0n ? index + BigInt(length) : index);
}

/** An attribute; undefined if Python raises AttributeError. Unsafe ones exist, but cannot be used. */
export function attributeOf(run: Run, value: Value, name: string): Value | undefined {
  if (value instanceof Undefined) return HIDDEN.has(name) ? unsafe(value, name) : value.refuse();
  if (value instanceof Namespace) {
    if (name === "__class__") return unsafe(value, name);
    const own = value.attributes.get(name);
    return own !== undefined && name.startsWith("_") ? unsafe(value, name) : own;
  }
  if (HIDDEN.has(name)) return unsafe(value, name);
  const text = textOf(value);
  if (text !== undefined) return textMethod(value as string | Markup, text, name);
  if (value instanceof Callable) return value.attributes.get(name);
  if (value instanceof Custom) return name.startsWith("_") ? undefined : value.attribute(run, name);
  if (isForbidden(value, name)) return unsafe(value, name);
  const method = methodOf(value, name);
  if (method) return bound(value, name, method);
  return propertyOf(value, name)?.(value);
}

function unsafe(value: Value, name: string): Undefined {
  return new Undefined(`access to attribute '${name}' of '${typeName(value)}' object is unsafe.`, "SecurityError");
}

function bound(value: Value, name: string, method: Native): Callable {
  const title = `<built-in method ${name} of ${typeName(value)} object at 0x0>`;
  return new Callable(title, (run, args, keywords) => method(run, value, args, keywords), "builtin_function_or_method");
}

const LOOKUP: Lookup = { attribute: getAttribute, item: getItem };

function textMethod(value: string | Markup, text: string, name: string): Value | undefined {
  const isMarkup = value instanceof Markup;
  if (name === "format" || name === "format_map") {
    return new Callable(`<function str.${name} at 0x0>`, (run, args, keywords) => {
      if (name === "format_map" && (args.length !== 1 || keywords.size > 0)) {
        throw failure("TypeError", "format_map() takes exactly one argument");
      }
      const named = name === "format" ? keywords : stringKeys(args[0] as Value);
      const result = formatText(run, text, name === "format" ? args : [], named, LOOKUP, isMarkup);
      return isMarkup ? new Markup(result) : result;
    });
  }
  const method = STRING_METHODS.get(name);
  if (!method) return undefined;
  return bound(value, name, isMarkup ? markupMethod(name, method) : method);
}

function stringKeys(value: Value): Map<string, Value> {
  if (!(value instanceof Dict)) throw failure("TypeError", `'${typeName(value)}' object is not a mapping`);
  const result = new Map<string, Value>();
  for (const { key, value: item } of value.entries()) if (typeof key === "string") result.set(key, item);
  return result;
}

/** Which argument of a markup method is escaped. */
const ESCAPED: ReadonlyMap<string, number> = new Map([
  ["replace", 1],
  ["ljust", 1],
  ["rjust", 1],
  ["center", 1],
]);

/** Methods of markup return markup, and escape inserted text. */
function markupMethod(name: string, method: Native): Native {
  const safe = (run: Run, value: Value): Value => {
    if (value instanceof Markup) return value;
    const text = textOf(value);
    return text === undefined ? value : escapeHtml(run, text);
  };
  return (run, self, args, keywords) => {
    let given = args;
    const place = ESCAPED.get(name);
    if (place !== undefined) given = args.map((argument, i) => (i === place ? safe(run, argument) : argument));
    if (name === "join" && args.length === 1) given = [new List(markupItems(run, args[0] as Value))];
    return asMarkup(method(run, self, given, keywords));
  };
}

/** The items of `Markup.join`: each is converted to text and escaped. */
function markupItems(run: Run, value: Value): Value[] {
  const source = iterate(run, value);
  const items: Value[] = [];
  for (let item = source.next(); item !== DONE; item = source.next()) {
    run.spend(1);
    items.push(item instanceof Markup ? item : escapeHtml(run, textOf(item) ?? repr(run, item)));
  }
  return items;
}

function asMarkup(value: Value): Value {
  if (typeof value === "string") return new Markup(value);
  if (value instanceof List) return new List(value.items.map(asMarkup));
  return value instanceof Tuple ? new Tuple(value.items.map(asMarkup)) : value;
}

/** `value[start:stop:step]` */
export function slice(run: Run, value: Value, start: Value, stop: Value, step: Value): Value {
  if (value instanceof Undefined) value.refuse();
  const stride = step === null ? 1 : wholeArgument(step);
  const text = textOf(value);
  if (text !== undefined) run.scan(text.length);
  const plain = text !== undefined && isPlain(text);
  const items = text !== undefined ? (plain ? text : charactersOf(run, text)) : sliceable(value);
  if (items === undefined) {
    throw failure(
      "TypeError",
      value instanceof Dict ? "unhashable type: 'slice'" : `'${typeName(value)}' object is not subscriptable`,
    );
  }
  if (stride === 0) throw failure("ValueError", "slice step cannot be zero");
  const [from, to] = bounds(start, stop, stride, items.length);
  if (value instanceof Range) {
    return new Range(
      value.start + BigInt(from) * value.step,
      value.start + BigInt(to) * value.step,
      // Exact, though no index is that far.
      value.step * (intOf(step) ?? 1n),
    );
  }
  const count = Math.max(0, Math.ceil((to - from) / stride));
  if (plain && stride === 1) {
    run.scan(count);
    return wrapText(value, text.slice(from, Math.max(from, to)));
  }
  run.admitList(count);
  const picked = Array.from({ length: count }, (_, i) => (items as ArrayLike<Value>)[from + i * stride] as Value);
  if (text !== undefined) return wrapText(value, picked.join(""));
  return value instanceof Tuple ? new Tuple(picked) : new List(picked);
}

function sliceable(value: Value): ArrayLike<unknown> | undefined {
  if (value instanceof List || value instanceof Tuple) return value.items;
  return value instanceof Range ? { length: value.length } : undefined;
}

function wrapText(value: Value, text: string): Value {
  return value instanceof Markup ? new Markup(text) : text;
}

function bounds(start: Value, stop: Value, stride: number, length: number): [number, number] {
  const lowest = stride < 0 ? -1 : 0;
  const highest = stride < 0 ? length - 1 : length;
  const clamp = (value: Value, fallback: number): number => {
    if (value === null) return fallback;
    const index = wholeArgument(value);
    return Math.min(highest, Math.max(lowest, index < 0 ? index + length : index));
  };
  return [clamp(start, stride < 0 ? highest : lowest), clamp(stop, stride < 0 ? lowest : highest)];
}

/** Calls a method of text by name. */
export function callMethod(run: Run, value: string | Markup, name: string, args: readonly Value[]): Value {
  return call(run, getAttribute(run, value, name), args, NO_KEYWORDS);
}

/** Calls a value. */
export function call(run: Run, value: Value, args: readonly Value[], keywords: ReadonlyMap<string, Value>): Value {
  run.spend(4 + args.length + keywords.size);
  if (value instanceof Callable || value instanceof Custom) return value.call(run, args, keywords);
  if (value instanceof Undefined) value.refuse();
  throw failure("TypeError", `'${typeName(value)}' object is not callable`);
}
