/** `"…".format(…)` and its mini-language. */
import { failure } from "./errors.ts";
import { characterOf, floatDigits, grouped, wholeDigits } from "./number-format.ts";
import { floatText, toFloat } from "./numbers.ts";
import { repr, str } from "./repr.ts";
import type { Run } from "./run.ts";
import { cut, escapeHtml, lengthOf } from "./text.ts";
import { type Arguments, intOf, type Keywords, Markup, textOf, typeName, Undefined, type Value } from "./values.ts";

/** How fields such as `{0.name[key]}` find attributes and items: by the rules of the sandbox. */
export interface Lookup {
  attribute(run: Run, value: Value, name: string): Value;
  item(run: Run, value: Value, key: Value): Value;
}

/** @param escaping in markup, the values are escaped */
export function formatText(
  run: Run,
  format: string,
  args: Arguments,
  keywords: Keywords,
  lookup: Lookup,
  escaping = false,
): string {
  return new Formatter(run, args, keywords, lookup, escaping).expand(format, 2);
}

class Formatter {
  readonly #run: Run;
  readonly #args: Arguments;
  readonly #keywords: Keywords;
  readonly #lookup: Lookup;
  readonly #escaping: boolean;
  #next = 0;
  #numbered: boolean | undefined;

  constructor(run: Run, args: Arguments, keywords: Keywords, lookup: Lookup, escaping: boolean) {
    this.#run = run;
    this.#args = args;
    this.#keywords = keywords;
    this.#lookup = lookup;
    this.#escaping = escaping;
  }

  /** @param levels replacement fields within specs may be nested this deeply */
  expand(format: string, levels: number): string {
    if (levels < 0) throw failure("ValueError", "Max string recursion exceeded");
    this.#run.scan(format.length);
    let result = "";
    let at = 0;
    while (at < format.length) {
      const brace = nextBrace(format, at);
      result += format.slice(at, brace);
      this.#run.admitText(result.length);
      if (brace >= format.length) break;
      const character = format[brace] as string;
      if (format[brace + 1] === character) {
        result += character;
        at = brace + 2;
        continue;
      }
      if (character === "}") throw failure("ValueError", "Single '}' encountered in format string");
      const end = closing(format, brace + 1);
      result += this.#field(format.slice(brace + 1, end), levels);
      at = end + 1;
    }
    return result;
  }

  #field(field: string, levels: number): string {
    this.#run.spend(2);
    const { name, conversion, spec } = splitField(field);
    let value = this.#lookUp(name);
    if (conversion !== undefined) value = convert(this.#run, value, conversion);
    const expanded = this.expand(spec, levels - 1);
    if (!this.#escaping) return formatValue(this.#run, value, expanded);
    if (value instanceof Markup) {
      if (expanded !== "") throw failure("ValueError", "Unsupported format specification for Markup.");
      return value.text;
    }
    return escapeHtml(this.#run, formatValue(this.#run, value, expanded));
  }

  #lookUp(name: string): Value {
    const first = /^[^.[]*/.exec(name)?.[0] ?? "";
    let value = this.#first(first);
    let at = first.length;
    while (at < name.length) {
      this.#run.spend(1);
      if (name[at] === ".") {
        const attribute = /^[^.[]*/.exec(name.slice(at + 1))?.[0] ?? "";
        if (attribute === "") throw failure("ValueError", "Empty attribute in format string");
        value = this.#lookup.attribute(this.#run, value, attribute);
        at += 1 + attribute.length;
        continue;
      }
      const end = name.indexOf("]", at);
      if (name[at] !== "[") throw failure("ValueError", "Only '.' or '[' may follow ']' in format field specifier");
      if (end < 0) throw failure("ValueError", "Missing ']' in format string");
      const key = name.slice(at + 1, end);
      if (key === "") throw failure("ValueError", "Empty attribute in format string");
      value = this.#lookup.item(this.#run, value, /^\d+$/.test(key) ? BigInt(key) : key);
      at = end + 1;
    }
    return value;
  }

  #first(name: string): Value {
    const numbered = name !== "";
    if (name === "" || /^\d+$/.test(name)) {
      if (this.#numbered !== undefined && this.#numbered !== numbered) {
        throw failure("ValueError", "cannot switch between manual field specification and automatic field numbering");
      }
      this.#numbered = numbered;
      const value = this.#args[numbered ? Number(name) : this.#next++];
      if (value === undefined) throw failure("IndexError", "Replacement index out of range for positional args tuple");
      return value;
    }
    const value = this.#keywords.get(name);
    if (value === undefined) throw failure("KeyError", JSON.stringify(name));
    return value;
  }
}

function nextBrace(format: string, from: number): number {
  const open = format.indexOf("{", from);
  const close = format.indexOf("}", from);
  if (open < 0) return close < 0 ? format.length : close;
  return close < 0 ? open : Math.min(open, close);
}

/** The end of the field that begins here: braces within it are balanced, brackets hold anything. */
function closing(format: string, from: number): number {
  let depth = 1;
  let bracket = false;
  for (let at = from; at < format.length; at++) {
    const character = format[at];
    if (character === "[" && depth === 1) bracket = true;
    else if (character === "]") bracket = false;
    else if (character === "{" && !bracket) depth++;
    else if (character === "}" && !bracket && --depth === 0) return at;
  }
  throw failure(
    "ValueError",
    from >= format.length ? "Single '{' encountered in format string" : "expected '}' before end of string",
  );
}

function splitField(field: string): { name: string; conversion: string | undefined; spec: string } {
  let bracket = false;
  for (let at = 0; at < field.length; at++) {
    const character = field[at];
    if (character === "[") bracket = true;
    else if (character === "]") bracket = false;
    else if (!bracket && (character === "{" || character === "}"))
      throw failure("ValueError", "unexpected '{' in field name");
    else if (!bracket && character === ":")
      return { name: field.slice(0, at), conversion: undefined, spec: field.slice(at + 1) };
    else if (!bracket && character === "!") {
      const after = field.slice(at + 2);
      if (field.length < at + 2) throw failure("ValueError", "end of string while looking for conversion specifier");
      if (after !== "" && after[0] !== ":") throw failure("ValueError", "expected ':' after conversion specifier");
      return { name: field.slice(0, at), conversion: field[at + 1], spec: after.slice(1) };
    }
  }
  return { name: field, conversion: undefined, spec: "" };
}

function convert(run: Run, value: Value, conversion: string): Value {
  if (conversion === "s") return str(run, value);
  if (conversion === "r") return repr(run, value);
  if (conversion === "a") return repr(run, value);
  throw failure("ValueError", `Unknown conversion specifier ${conversion}`);
}

interface Spec {
  readonly fill: string;
  readonly align: string | undefined;
  readonly sign: string;
  readonly alternate: boolean;
  readonly width: number;
  readonly grouping: string;
  readonly precision: number | undefined;
  readonly type: string;
}

const SPEC = /^(?:([\s\S])?([<>=^]))?([-+ ]?)(z?)(#?)(0?)(\d*)([,_]?)(?:\.(\d+))?([a-zA-Z%]?)$/u;

/** `format(value, spec)` */
export function formatValue(run: Run, value: Value, spec: string): string {
  if (spec === "") return str(run, value);
  run.scan(spec.length);
  if (value instanceof Undefined)
    throw failure("TypeError", "unsupported format string passed to Undefined.__format__");
  const text = textOf(value);
  const number = typeof value === "number" ? value : intOf(value);
  if (text === undefined && number === undefined) {
    throw failure("TypeError", `unsupported format string passed to ${typeName(value)}.__format__`);
  }
  const match = spec.length > 1000 ? null : SPEC.exec(spec);
  if (!match) throw failure("ValueError", "Invalid format specifier");
  const [, fill, align, sign = "", z, hash, zero, width, grouping = "", precision, type = ""] = match;
  if (z && typeof number !== "number") throw failure("ValueError", "Negative zero coercion (z) not allowed");
  const parsed: Spec = {
    fill: fill ?? (zero ? "0" : " "),
    align: align ?? (zero && text === undefined ? "=" : undefined),
    sign,
    alternate: hash === "#",
    width: Number(width || 0),
    grouping,
    precision: precision === undefined ? undefined : Number(precision),
    type,
  };
  return text === undefined ? formatNumber(run, number as bigint | number, parsed) : formatString(run, text, parsed);
}

function formatString(run: Run, text: string, spec: Spec): string {
  if (spec.type !== "" && spec.type !== "s")
    throw failure("ValueError", `Unknown format code '${spec.type}' for object of type 'str'`);
  if (spec.sign) throw failure("ValueError", "Sign not allowed in string format specifier");
  if (spec.alternate) throw failure("ValueError", "Alternate form (#) not allowed in string format specifier");
  if (spec.align === "=") throw failure("ValueError", "'=' alignment not allowed in string format specifier");
  if (spec.grouping) throw failure("ValueError", `Cannot specify '${spec.grouping}' with 's'.`);
  if (spec.precision !== undefined) run.scan(text.length);
  return aligned(run, "", spec.precision === undefined ? text : cut(text, 0, spec.precision), spec, "<");
}

function formatNumber(run: Run, value: bigint | number, spec: Spec): string {
  const { type } = spec;
  if (typeof value === "bigint" && ("" === type || "bcdoxXn".includes(type))) return formatWhole(run, value, spec);
  if (type !== "" && !"eEfFgGn%".includes(type)) {
    throw failure("ValueError", `Unknown format code '${type}' for object of type '${typeName(value)}'`);
  }
  if (type === "n" && spec.grouping) throw failure("ValueError", `Cannot specify '${spec.grouping}' with 'n'.`);
  const number = typeof value === "bigint" ? toFloat(value) : value;
  const negative = number < 0 || Object.is(number, -0);
  const kind = type === "n" ? "g" : type;
  run.spend(16 + 8 * (spec.precision ?? 0));
  const digits =
    kind === "" && spec.precision === undefined
      ? floatText(Math.abs(number))
      : floatDigits(number, kind, spec.precision ?? 6, spec.alternate);
  return numeric(run, negative, "", digits, spec, 3);
}

function formatWhole(run: Run, value: bigint, spec: Spec): string {
  const { type } = spec;
  if (spec.precision !== undefined) throw failure("ValueError", "Precision not allowed in integer format specifier");
  if (
    spec.grouping &&
    (type === "n" || type === "c" || (spec.grouping === "," && "boxX".includes(type) && type !== ""))
  ) {
    throw failure("ValueError", `Cannot specify '${spec.grouping}' with '${type}'.`);
  }
  if (type === "c") {
    if (spec.sign) throw failure("ValueError", "Sign not allowed with integer format specifier 'c'");
    if (spec.alternate) throw failure("ValueError", "Alternate form (#) not allowed with integer format specifier 'c'");
    return aligned(run, "", characterOf(value), spec, ">");
  }
  const { digits, prefix } = wholeDigits(run, value, type);
  return numeric(run, value < 0n, spec.alternate ? prefix : "", digits, spec, prefix ? 4 : 3);
}

function numeric(run: Run, negative: boolean, prefix: string, digits: string, spec: Spec, groupSize: number): string {
  const sign = (negative ? "-" : spec.sign === "-" ? "" : spec.sign) + prefix;
  const whole = /^[0-9a-fA-F]+/.exec(digits)?.[0] ?? "";
  if (!spec.grouping || whole === "" || (groupSize === 3 && !/^\d+$/.test(whole.replace(/e\d*$/i, "")))) {
    return aligned(run, sign, digits, spec, ">");
  }
  const integer = groupSize === 3 ? (/^\d+/.exec(digits)?.[0] ?? "") : whole;
  const rest = digits.slice(integer.length);
  let shown = grouped(integer, spec.grouping, groupSize);
  if (spec.fill === "0" && spec.align === "=") {
    // Zeros that fill the width are grouped too, and no separator comes first.
    run.admitText(spec.width);
    const room = spec.width - sign.length - rest.length;
    let count = Math.max(integer.length, room - Math.ceil(room / (groupSize + 1)));
    while (count + Math.floor((count - 1) / groupSize) < room) count++;
    run.spend(1 + count);
    shown = grouped(integer.padStart(count, "0"), spec.grouping, groupSize);
  }
  return aligned(run, sign, shown + rest, spec, ">");
}

function aligned(run: Run, sign: string, body: string, spec: Spec, usual: string): string {
  const missing = spec.width - lengthOf(run, sign + body);
  if (missing <= 0) return sign + body;
  run.admitText(missing * spec.fill.length);
  run.scan(missing * spec.fill.length);
  const fill = (count: number): string => spec.fill.repeat(count);
  switch (spec.align ?? usual) {
    case "<":
      return sign + body + fill(missing);
    case "^":
      return fill(missing >> 1) + sign + body + fill(missing - (missing >> 1));
    case "=":
      return sign + fill(missing) + body;
    default:
      return fill(missing) + sign + body;
  }
}
