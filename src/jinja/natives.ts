/** Our functions that templates call, with signatures in Python's notation. */
import { failure } from "./errors.ts";
import type { Run } from "./run.ts";
import { type Arguments, intOf, type Keywords, textOf, typeName, Undefined, type Value } from "./values.ts";

/** A method, filter or test: its first argument is the value that it is applied to. */
export type Native = (run: Run, self: Value, args: Arguments, keywords: Keywords) => Value;

interface Parameter {
  readonly name: string;
  readonly positionalOnly: boolean;
  readonly fallback: Value | undefined;
}

/**
 * A function that takes its arguments by position and by name.
 * @param signature such as `sep=None, maxsplit=-1`; `/` ends the positional-only arguments
 * @param body gets every argument, filled in
 */
export function native(signature: string, body: (run: Run, self: Value, ...args: Value[]) => Value): Native {
  const parameters = parseSignature(signature);
  return (run, self, args, keywords) => {
    pay(run, self);
    for (const value of args) pay(run, value);
    for (const value of keywords.values()) pay(run, value);
    return body(run, self, ...bind(parameters, args, keywords));
  };
}

/** Shorter texts and numbers cost no more than the call. */
const LONG_TEXT = 1024;
const LONG_NUMBER = 1n << 1024n;

/** Takes the steps of reading a value once: whatever a function does with it, it costs something. */
function pay(run: Run, value: Value): void {
  if (typeof value === "bigint") {
    if (value >= LONG_NUMBER || value <= -LONG_NUMBER) run.spend(value.toString(16).length >> 2);
    return;
  }
  const text = textOf(value);
  if (text !== undefined && text.length >= LONG_TEXT) run.scan(text.length);
}

function parseSignature(signature: string): Parameter[] {
  const parts = signature === "" ? [] : signature.split(/, (?=[a-z_/])/);
  const slash = parts.indexOf("/");
  return parts
    .filter((part) => part !== "/")
    .map((part, i) => {
      const [name = "", fallback] = part.split("=");
      return { name, positionalOnly: i < slash, fallback: fallback === undefined ? undefined : literal(fallback) };
    });
}

function literal(text: string): Value {
  const named: Readonly<Record<string, Value>> = { None: null, True: true, False: false };
  const value = named[text];
  if (value !== undefined) return value;
  if (text.startsWith("'")) return text.slice(1, -1);
  return text.includes(".") ? Number(text) : BigInt(text);
}

function bind(parameters: readonly Parameter[], args: Arguments, keywords: Keywords): Value[] {
  if (args.length > parameters.length) {
    throw failure("TypeError", `takes at most ${parameters.length} arguments (${args.length} given)`);
  }
  let used = 0;
  const values = parameters.map((parameter, i) => {
    const byName = parameter.positionalOnly ? undefined : keywords.get(parameter.name);
    if (byName !== undefined) used++;
    const value = args[i];
    if (value !== undefined && byName !== undefined) {
      throw failure("TypeError", `got multiple values for argument '${parameter.name}'`);
    }
    const given = value === undefined ? byName : value;
    const bound = given === undefined ? parameter.fallback : given;
    if (bound === undefined) throw failure("TypeError", `missing a required argument: '${parameter.name}'`);
    return bound;
  });
  if (used < keywords.size) {
    const unknown = [...keywords.keys()].find((key) => !parameters.some(({ name }) => name === key));
    throw failure("TypeError", `got an unexpected keyword argument '${unknown ?? [...keywords.keys()][0]}'`);
  }
  return values;
}

/** A whole number as an argument, clamped to JavaScript's exact range. */
export function wholeArgument(value: Value): number {
  const number = intOf(value);
  if (number === undefined) {
    if (value instanceof Undefined) value.refuse();
    throw failure("TypeError", `'${typeName(value)}' object cannot be interpreted as an integer`);
  }
  if (number > 2n ** 53n) return Number.MAX_SAFE_INTEGER;
  return number < -(2n ** 53n) ? Number.MIN_SAFE_INTEGER : Number(number);
}

/** A text as an argument. */
export function textArgument(value: Value): string {
  const text = textOf(value);
  if (text === undefined) throw failure("TypeError", `expected a str, but got ${typeName(value)}`);
  return text;
}

/** The begin and end of a slice such as `text[start:end]`, for arguments that may be None. */
export function clampRange(start: Value, end: Value, length: number): [number, number] {
  const clamp = (value: Value, fallback: number): number => {
    if (value === null) return fallback;
    const index = wholeArgument(value);
    return index < 0 ? Math.max(0, index + length) : index;
  };
  return [clamp(start, 0), Math.min(length, clamp(end, length))];
}
