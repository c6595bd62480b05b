/** Truth, equality, order, membership and arithmetic, with Python's rules. */
import { failure } from "./errors.ts";
import { iterate } from "./iterate.ts";
import { usable } from "./keys.ts";
import { fraction, toFloat } from "./numbers.ts";
import { percentFormat } from "./percent.ts";
import { str } from "./repr.ts";
import { checkDepth, limit, type Run } from "./run.ts";
import { compareText, escapeHtml, finder, repeat } from "./text.ts";
import {
  Custom,
  Dict,
  DictView,
  DONE,
  intOf,
  List,
  Markup,
  Range,
  Tuple,
  textOf,
  typeName,
  Undefined,
  type Value,
} from "./values.ts";

/** Longest whole number, in bits. */
const MOST_BITS = 1 << 17;

export function truth(run: Run, value: Value): boolean {
  if (value === null) return false;
  if (typeof value === "boolean") return value;
  if (typeof value === "bigint") return value !== 0n;
  if (typeof value === "number") return value !== 0;
  if (typeof value === "string") return value !== "";
  if (value instanceof List || value instanceof Tuple) return value.items.length > 0;
  if (value instanceof Dict) return value.size > 0;
  if (value instanceof Undefined) return false;
  if (value instanceof Markup) return value.text !== "";
  if (value instanceof Range) return value.length > 0;
  if (value instanceof DictView) return value.dict.size > 0;
  return value instanceof Custom ? value.attribute(run, "__len__") !== 0n : true;
}

/** `a == b` */
export function equals(run: Run, a: Value, b: Value, depth = 0): boolean {
  if (typeof a === "string" && typeof b === "string") {
    // Texts of different lengths differ.
    if (a.length === b.length) run.scan(a.length);
    return a === b;
  }
  if (a === b) return true;
  checkDepth(depth);
  run.spend(1);
  if (isNumber(a)) return isNumber(b) && numericOrder(a, b) === 0;
  const text = textOf(a);
  if (text !== undefined) {
    run.scan(text.length);
    return textOf(b) === text;
  }
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
    return (
      a.items.length === b.items.length && a.items.every((item, i) => equals(run, item, b.items[i] as Value, depth + 1))
    );
  }
  if (a instanceof Dict && b instanceof Dict) return a.size === b.size && equalEntries(run, a, b, depth);
  if (a instanceof Range && b instanceof Range) {
    if (a.length !== b.length || a.length === 0) return a.length === b.length;
    return a.start === b.start && (a.length === 1 || a.step === b.step);
  }
  return a instanceof Undefined && b instanceof Undefined;
}

function equalEntries(run: Run, a: Dict, b: Dict, depth: number): boolean {
  for (const { key, value } of a.entries()) {
    const other = b.get(key);
    if (other === undefined || !equals(run, value, other, depth + 1)) return false;
  }
  return true;
}

type PlainNumber = boolean | bigint | number;

function isNumber(value: Value): value is PlainNumber {
  return typeof value === "bigint" || typeof value === "number" || typeof value === "boolean";
}

/** Negative, 0 or positive; NaN if one of them is NaN. Whole numbers and floats compare exactly. */
function numericOrder(a: PlainNumber, b: PlainNumber): number {
  const x = typeof a === "boolean" ? BigInt(a) : a;
  const y = typeof b === "boolean" ? BigInt(b) : b;
  return x < y ? -1 : x > y ? 1 : x >= y ? 0 : Number.NaN;
}

/** The order of two values: negative, 0, positive or NaN. @throws TypeError if they have none */
export function order(run: Run, a: Value, b: Value, sign = "<", depth = 0): number {
  if (isNumber(a) && isNumber(b)) return numericOrder(a, b);
  checkDepth(depth);
  const x = textOf(a);
  const y = textOf(b);
  if (x !== undefined && y !== undefined) {
    run.scan(Math.min(x.length, y.length));
    return compareText(x, y);
  }
  if ((a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple)) {
    const length = Math.min(a.items.length, b.items.length);
    for (let i = 0; i < length; i++) {
      const left = a.items[i] as Value;
      const right = b.items[i] as Value;
      if (!equals(run, left, right, depth + 1)) return order(run, left, right, sign, depth + 1);
    }
    return a.items.length - b.items.length;
  }
  for (const value of [a, b]) if (value instanceof Undefined) value.refuse();
  throw failure("TypeError", `'${sign}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
}

export type Comparison = "==" | "!=" | "<" | "<=" | ">" | ">=" | "in" | "not in";

export function compare(run: Run, operator: Comparison, a: Value, b: Value): boolean {
  switch (operator) {
    case "==":
      return equals(run, a, b);
    case "!=":
      return !equals(run, a, b);
    case "in":
      return contains(run, b, a);
    case "not in":
      return !contains(run, b, a);
    case "<":
      return order(run, a, b, operator) < 0;
    case "<=":
      return order(run, a, b, operator) <= 0;
    case ">":
      return order(run, a, b, operator) > 0;
    default:
      return order(run, a, b, operator) >= 0;
  }
}

/** `item in container` */
export function contains(run: Run, container: Value, item: Value): boolean {
  const text = textOf(container);
  if (text !== undefined) {
    const part = textOf(item);
    if (part === undefined) {
      throw failure("TypeError", `'in <string>' requires string as left operand, not ${typeName(item)}`);
    }
    return part === "" || finder(run, text, part)(0) >= 0;
  }
  if (container instanceof Dict) return container.has(usable(run, item));
  if (container instanceof DictView && container.kind === "keys") return container.dict.has(usable(run, item));
  if (container instanceof List || container instanceof Tuple) {
    return container.items.some((other) => equals(run, other, item));
  }
  if (container instanceof Range && intOf(item) !== undefined) {
    const offset = (intOf(item) as bigint) - container.start;
    const index = offset / container.step;
    return offset % container.step === 0n && index >= 0n && index < BigInt(container.length);
  }
  const source = iterate(run, container);
  for (let other = source.next(); other !== DONE; other = source.next()) {
    run.spend(1);
    if (equals(run, other, item)) return true;
  }
  return false;
}

export type Arithmetic = "+" | "-" | "*" | "/" | "//" | "%" | "**";

export function arithmetic(run: Run, operator: Arithmetic, a: Value, b: Value): Value {
  if (isNumber(a) && isNumber(b)) return calculate(run, operator, a, b);
  const special = sequences(run, operator, a, b);
  if (special !== undefined) return special;
  for (const value of [a, b]) if (value instanceof Undefined) value.refuse();
  const types = `'${typeName(a)}' and '${typeName(b)}'`;
  throw failure("TypeError", `unsupported operand type(s) for ${operator}: ${types}`);
}

/** Operations of text and lists; undefined if not defined. */
function sequences(run: Run, operator: Arithmetic, a: Value, b: Value): Value | undefined {
  const left = textOf(a);
  if (operator === "+") {
    const right = textOf(b);
    if (left !== undefined && right !== undefined) return joined(run, a, left, b, right);
    const both = (a instanceof List && b instanceof List) || (a instanceof Tuple && b instanceof Tuple);
    if (!both) return undefined;
    run.admitList(a.items.length + b.items.length);
    const items = [...a.items, ...b.items];
    return a instanceof List ? new List(items) : new Tuple(items);
  }
  if (operator === "%" && left !== undefined) {
    return a instanceof Markup ? new Markup(percentFormat(run, left, b, true)) : percentFormat(run, left, b);
  }
  if (operator !== "*") return undefined;
  const times = intOf(a) ?? intOf(b);
  if (times === undefined) return undefined;
  const what = intOf(a) === undefined ? a : b;
  const text = textOf(what);
  if (text !== undefined)
    return what instanceof Markup ? new Markup(repeat(run, text, times)) : repeat(run, text, times);
  if (!(what instanceof List || what instanceof Tuple)) return undefined;
  const count = times > 0n ? Number(times) : 0;
  run.admitList(count * what.items.length);
  if (what.items.length === 0) return what;
  const items: Value[] = [];
  for (let i = 0; i < count; i++) for (const item of what.items) items.push(item);
  return what instanceof List ? new List(items) : new Tuple(items);
}

/** Text and text. If one of them is markup, the other is escaped. */
function joined(run: Run, a: Value, left: string, b: Value, right: string): Value {
  run.admitText(left.length + right.length);
  if (!(a instanceof Markup || b instanceof Markup)) return left + right;
  const safe = (value: Value, text: string): string => (value instanceof Markup ? text : escapeHtml(run, text));
  return new Markup(safe(a, left) + safe(b, right));
}

function calculate(run: Run, operator: Arithmetic, a: PlainNumber, b: PlainNumber): Value {
  const x = typeof a === "boolean" ? BigInt(a) : a;
  const y = typeof b === "boolean" ? BigInt(b) : b;
  if (typeof x === "bigint" && typeof y === "bigint") return whole(run, operator, x, y);
  return floating(operator, typeof x === "bigint" ? toFloat(x) : x, typeof y === "bigint" ? toFloat(y) : y);
}

function whole(run: Run, operator: Arithmetic, x: bigint, y: bigint): Value {
  if (operator === "+" || operator === "-") return checkBits(run, operator === "+" ? x + y : x - y);
  if (operator === "*") {
    if (bitsOf(x) + bitsOf(y) > MOST_BITS) throw limit("makes a number that is too long");
    return checkBits(run, x * y);
  }
  if (operator === "**") return power(run, x, y);
  if (y === 0n) throw failure("ZeroDivisionError", "division by zero");
  const [words, by] = [bitsOf(x) >> 6, bitsOf(y) >> 6];
  run.spend(words + ((Math.max(0, words - by) * by) >> 6));
  if (operator === "/") return divide(x, y);
  const remainder = x % y;
  const adjust = remainder !== 0n && remainder < 0n !== y < 0n;
  if (operator === "//") return x / y - (adjust ? 1n : 0n);
  return adjust ? remainder + y : remainder;
}

function bitsOf(value: bigint): number {
  return -0x80000000n < value && value < 0x80000000n ? 32 : 4 * value.toString(16).length;
}

function checkBits(run: Run, value: bigint): bigint {
  const bits = bitsOf(value);
  if (bits > MOST_BITS) throw limit("makes a number that is too long");
  if (bits > 64) run.spend(bits >> 4);
  return value;
}

function power(run: Run, x: bigint, y: bigint): Value {
  if (y < 0n) {
    if (x === 0n) throw failure("ZeroDivisionError", "0.0 cannot be raised to a negative power");
    return floating("**", toFloat(x), toFloat(y));
  }
  if (x === 0n || x === 1n || x === -1n) return x === -1n && y % 2n === 0n ? 1n : y === 0n ? 1n : x;
  if (y > BigInt(MOST_BITS) || (bitsOf(x) < 64 ? x.toString(2).length - 1 : bitsOf(x) - 4) * Number(y) > MOST_BITS) {
    throw limit("makes a number that is too long");
  }
  run.spend(Number(y) >> 2);
  return checkBits(run, x ** y);
}

/** The float nearest to x / y. */
function divide(x: bigint, y: bigint): number {
  const safe = BigInt(Number.MAX_SAFE_INTEGER);
  if (-safe <= x && x <= safe && -safe <= y && y <= safe) return Number(x) / Number(y);
  const [top, bottom] = [x < 0n ? -x : x, y < 0n ? -y : y];
  const shift = top.toString(2).length - bottom.toString(2).length - 66;
  const [scaledTop, scaledBottom] = shift < 0 ? [top << BigInt(-shift), bottom] : [top, bottom << BigInt(shift)];
  const sticky = scaledTop % scaledBottom === 0n ? 0n : 1n;
  const result = Number(((scaledTop / scaledBottom) << 1n) | sticky) * 2 ** (shift - 1);
  if (!Number.isFinite(result)) throw failure("OverflowError", "integer division result too large for a float");
  return x < 0n === y < 0n ? result : -result;
}

function floating(operator: Arithmetic, x: number, y: number): number {
  switch (operator) {
    case "+":
      return x + y;
    case "-":
      return x - y;
    case "*":
      return x * y;
    case "**":
      return floatPower(x, y);
    default:
  }
  if (y === 0) throw failure("ZeroDivisionError", "float division by zero");
  if (operator === "/") return x / y;
  const modulo = floatModulo(x, y);
  if (operator === "%") return modulo;
  const quotient = (x - (x % y)) / y - (x % y !== 0 && x % y < 0 !== y < 0 ? 1 : 0);
  if (quotient === 0) return x / y < 0 || Object.is(x / y, -0) ? -0 : 0;
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

function floatModulo(x: number, y: number): number {
  const remainder = x % y;
  if (remainder === 0) return y < 0 ? -0 : 0;
  return remainder < 0 === y < 0 ? remainder : remainder + y;
}

function floatPower(x: number, y: number): number {
  if (x === 1 || y === 0) return 1;
  if (x === -1 && !Number.isFinite(y) && !Number.isNaN(y)) return 1;
  if (x === 0 && y < 0) throw failure("ZeroDivisionError", "0.0 cannot be raised to a negative power");
  if (x < 0 && Number.isFinite(x) && Number.isFinite(y) && !Number.isInteger(y)) {
    throw failure("ValueError", "this power is a complex number, which is not supported");
  }
  const result = x ** y;
  if (!Number.isFinite(result) && Number.isFinite(x) && Number.isFinite(y)) {
    throw failure("OverflowError", "Numerical result out of range");
  }
  return result;
}

/** `-value` and `+value` */
export function signed(value: Value, negative: boolean): Value {
  if (typeof value === "number") return negative ? -value : value;
  const number = intOf(value);
  if (number !== undefined) return negative ? -number : number;
  if (value instanceof Undefined) value.refuse();
  throw failure("TypeError", `bad operand type for unary ${negative ? "-" : "+"}: '${typeName(value)}'`);
}

/** `abs(value)` */
export function absolute(value: Value): Value {
  if (typeof value === "number") return Math.abs(value);
  const number = intOf(value);
  if (number !== undefined) return number < 0n ? -number : number;
  throw failure("TypeError", `bad operand type for abs(): '${typeName(value)}'`);
}

/** `a ~ b ~ c`: the texts, joined. Escaped if one of them is markup and HTML is escaped. */
export function concatenate(run: Run, values: readonly Value[], escaping: boolean): Value {
  if (escaping && values.some((value) => value instanceof Markup)) {
    const parts = values.map((value) => (value instanceof Markup ? value.text : escapeHtml(run, str(run, value))));
    run.admitText(parts.reduce((sum, part) => sum + part.length, 0));
    return new Markup(parts.join(""));
  }
  let text = "";
  for (const value of values) {
    text += str(run, value);
    run.admitText(text.length);
  }
  return text;
}

/** A finite float as an exact ratio. */
export function ratioOf(value: number): Tuple {
  let [numerator, denominator] = fraction(value);
  while (denominator > 1n && numerator % 2n === 0n) {
    numerator /= 2n;
    denominator /= 2n;
  }
  return new Tuple([value < 0 ? -numerator : numerator, denominator]);
}
