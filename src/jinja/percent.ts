/** `"…" % values`. */
import { failure } from "./errors.ts";
import { characterOf, floatDigits, wholeDigits } from "./number-format.ts";
import { toFloat, truncated } from "./numbers.ts";
import { quoted, repr, str } from "./repr.ts";
import type { Run } from "./run.ts";
import { cut, escapeHtml, lengthOf, replaceEach } from "./text.ts";
import { Dict, intOf, List, Markup, Tuple, textOf, typeName, Undefined, type Value } from "./values.ts";

const DIRECTIVE = /^(?:\(([^()]*)\))?([-+ 0#]*)(\*|\d*)(?:\.(\*|\d*))?[hlL]?([\s\S])?/;

interface Directive {
  readonly flags: string;
  readonly width: number;
  readonly precision: number | undefined;
  readonly type: string;
}

/** @param escaping in markup, the values are escaped */
export function percentFormat(run: Run, format: string, values: Value, escaping = false): string {
  run.scan(format.length);
  const source = new Values(values);
  let result = "";
  let at = 0;
  for (;;) {
    const percent = format.indexOf("%", at);
    result += format.slice(at, percent < 0 ? undefined : percent);
    run.admitText(result.length);
    if (percent < 0) break;
    run.spend(2);
    const rest = format.slice(percent + 1, percent + 1 + LONGEST_DIRECTIVE);
    const match = DIRECTIVE.exec(rest);
    const [all = "", key, flags = "", width = "", precision, type] = match ?? [];
    if (type === undefined) throw failure("ValueError", "incomplete format");
    at = percent + 1 + all.length;
    const named = key === undefined ? undefined : source.named(key);
    if (all === "%") {
      result += "%";
      continue;
    }
    const directive = starred(flags, width, precision, type, source);
    result += pad(run, formatOne(run, directive, named === undefined ? source.next() : named, escaping), directive);
  }
  source.checkUsed();
  return result;
}

/** Maximum length of key, flags, width and precision. */
const LONGEST_DIRECTIVE = 1000;

function starred(flags: string, width: string, precision: string | undefined, type: string, source: Values): Directive {
  let all = flags;
  let columns = width === "*" ? source.nextWidth() : Number(width || 0);
  if (columns < 0) {
    all += "-";
    columns = -columns;
  }
  const digits = precision === "*" ? Math.max(0, source.nextWidth()) : precision;
  return { flags: all, width: columns, precision: digits === undefined ? undefined : Number(digits), type };
}

interface Piece {
  readonly sign: string;
  readonly prefix: string;
  readonly body: string;
  readonly isNumber: boolean;
}

const plain = (body: string): Piece => ({ sign: "", prefix: "", body, isNumber: false });

function formatOne(run: Run, directive: Directive, value: Value, escaping: boolean): Piece {
  const { type, precision, flags } = directive;
  const text = (whole: string): Piece => {
    const safe = escaping && !(value instanceof Markup && type === "s") ? escapeHtml(run, whole) : whole;
    if (precision === undefined) return plain(safe);
    run.scan(safe.length);
    return plain(cut(safe, 0, precision));
  };
  switch (type) {
    case "s":
      return text(str(run, value));
    case "r":
      return text(repr(run, value));
    case "a":
      return text(asciiOnly(run, repr(run, value)));
    case "c": {
      const code = intOf(value);
      const character = code === undefined ? textOf(value) : characterOf(code);
      if (character === undefined || lengthOf(run, character) !== 1)
        throw failure("TypeError", "%c requires int or char");
      return plain(character);
    }
    case "d":
    case "i":
    case "u":
    case "o":
    case "x":
    case "X":
      return whole(run, type, value, precision, flags);
    case "e":
    case "E":
    case "f":
    case "F":
    case "g":
    case "G": {
      const number = floatOf(value);
      run.spend(16 + 8 * (precision ?? 0));
      const digits = floatDigits(number, type, precision ?? 6, flags.includes("#"));
      return { sign: signOf(number < 0 || Object.is(number, -0), flags), prefix: "", body: digits, isNumber: true };
    }
    default:
      throw failure("ValueError", `unsupported format character ${quoted(run, type)}`);
  }
}

function whole(run: Run, type: string, value: Value, precision: number | undefined, flags: string): Piece {
  let number = intOf(value);
  if (number === undefined && typeof value === "number" && "diu".includes(type)) number = truncated(value);
  if (number === undefined) refuseNumber(`%${type} format: a number is required`, value);
  const { digits, prefix } = wholeDigits(run, number, type);
  const body = digits.padStart(Math.min(precision ?? 0, LONGEST_DIRECTIVE), "0");
  return { sign: signOf(number < 0n, flags), prefix: flags.includes("#") ? prefix : "", body, isNumber: true };
}

function floatOf(value: Value): number {
  if (typeof value === "number") return value;
  const number = intOf(value);
  return number === undefined ? refuseNumber("must be real number", value) : toFloat(number);
}

function refuseNumber(what: string, value: Value): never {
  if (value instanceof Undefined) value.refuse();
  throw failure("TypeError", `${what}, not ${typeName(value)}`);
}

function signOf(negative: boolean, flags: string): string {
  if (negative) return "-";
  return flags.includes("+") ? "+" : flags.includes(" ") ? " " : "";
}

function pad(run: Run, piece: Piece, { flags, width }: Directive): string {
  const { sign, prefix, body } = piece;
  const missing = width - lengthOf(run, sign + prefix + body);
  if (missing <= 0) return sign + prefix + body;
  run.admitText(missing);
  run.scan(missing);
  if (flags.includes("-")) return sign + prefix + body + " ".repeat(missing);
  if (flags.includes("0") && piece.isNumber) return sign + prefix + "0".repeat(missing) + body;
  return " ".repeat(missing) + sign + prefix + body;
}

/** The values of a format: one value, those of a tuple in turn, or those of a dictionary by name. */
class Values {
  readonly #all: Value;
  readonly #items: readonly Value[];
  #used = 0;
  #byName = false;

  constructor(values: Value) {
    this.#all = values;
    this.#items = values instanceof Tuple ? values.items : [values];
  }

  next(): Value {
    const value = this.#items[this.#used];
    if (value === undefined) throw failure("TypeError", "not enough arguments for format string");
    this.#used++;
    return value;
  }

  nextWidth(): number {
    const width = intOf(this.next());
    if (width === undefined) throw failure("TypeError", "* wants int");
    return Number(width);
  }

  named(key: string): Value {
    this.#byName = true;
    if (this.#all instanceof Undefined) this.#all.refuse();
    if (!(this.#all instanceof Dict)) throw failure("TypeError", "format requires a mapping");
    const value = this.#all.get(key);
    if (value === undefined) throw failure("KeyError", JSON.stringify(key));
    return value;
  }

  /** A tuple is used up; what could be a mapping need not be. */
  checkUsed(): void {
    const mapping = this.#all instanceof Dict || this.#all instanceof List || this.#all instanceof Undefined;
    if (mapping || this.#byName || this.#used >= this.#items.length) return;
    throw failure("TypeError", "not all arguments converted during string formatting");
  }
}

/** The `ascii()` of a representation. */
function asciiOnly(run: Run, text: string): string {
  const result = replaceEach(text, /[^\0-\x7f]/gu, (character) => {
    run.spend(2);
    const code = character.codePointAt(0) as number;
    if (code < 256) return `\\x${code.toString(16)}`;
    return code < 0x10000 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
  });
  run.admitText(result.length);
  return result;
}
