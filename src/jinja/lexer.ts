/**
 * Splits templates into tokens like Jinja's lexer with `trim_blocks` and `lstrip_blocks`: a newline after a block is
 * dropped, and so is the whitespace of a line before one. Every position is read a bounded number of times.
 */
import { syntaxError } from "./errors.ts";
import { isSpace } from "./text.ts";
import type { Value } from "./values.ts";

export type TokenType =
  | "data"
  | "variable_begin"
  | "variable_end"
  | "block_begin"
  | "block_end"
  | "name"
  | "string"
  | "number"
  | "operator"
  | "eof";

export interface Token {
  readonly type: TokenType;
  /** The text; the contents of a string, or the operator. */
  readonly text: string;
  /** The value of a number. */
  readonly value?: Value;
  readonly line: number;
}

const OPERATORS = new Set("// ** == != >= <= + - / * % ~ [ ] ( ) { } > < = . : | , ;".split(" "));
const CLOSING: Readonly<Record<string, string>> = { "{": "}", "(": ")", "[": "]" };
const FLOAT = /(?:\d+_)*\d+(?:(?:\.(?:\d+_)*\d+)?[eE][+-]?(?:\d+_)*\d+|\.(?:\d+_)*\d+)/y;
const INTEGER = /0[bB](?:_?[01])+|0[oO](?:_?[0-7])+|0[xX](?:_?[\da-fA-F])+|[1-9](?:_?\d)*|0(?:_?0)*/y;
const NAME = /[\p{XID_Continue}\u00b7\u0387\u1369-\u1371\u19da\u2118\u212e\u309b\u309c]+/uy;
const IDENTIFIER = /^[\p{XID_Start}_][\p{XID_Continue}]*$/u;
/** Deepest nesting of expressions and of blocks: Jinja itself fails at about half of it. */
export const DEEPEST_SOURCE = 150;
/** Maximum length of a number. */
const LONGEST_NUMBER = 10_000;

export function tokenize(source: string): Token[] {
  return new Lexer(source).run();
}

class Lexer {
  readonly #source: string;
  readonly #tokens: Token[] = [];
  #at = 0;
  #line = 1;
  /** Position of the next newline. */
  #newline = -1;
  /** Whether the last match ended a line. Only then does whitespace before a block fill the line's beginning. */
  #lineStarting = true;

  constructor(source: string) {
    // Line ends are newlines, and the last one is dropped.
    const text = source.replace(/\r\n?/g, "\n");
    this.#source = text.endsWith("\n") ? text.slice(0, -1) : text;
  }

  run(): Token[] {
    while (this.#at < this.#source.length) this.#root();
    this.#push("eof", "");
    return this.#tokens;
  }

  #push(type: TokenType, text: string, value?: Value): void {
    this.#tokens.push(value === undefined ? { type, text, line: this.#line } : { type, text, value, line: this.#line });
  }

  /** Advances, counting lines. */
  #advance(to: number): void {
    while (this.#newline < to) {
      if (this.#newline >= this.#at) this.#line++;
      const next = this.#source.indexOf("\n", Math.max(this.#at, this.#newline + 1));
      this.#newline = next < 0 ? Number.POSITIVE_INFINITY : next;
    }
    this.#at = to;
    this.#lineStarting = this.#source[to - 1] === "\n";
  }

  #spaceAfter(from: number): number {
    let at = from;
    while (isSpace(this.#source[at])) at++;
    return at;
  }

  /** Text up to the next tag, and the tag. */
  #root(): void {
    const source = this.#source;
    const tag = nextTag(source, this.#at);
    if (tag < 0) {
      this.#data(source.slice(this.#at));
      this.#advance(source.length);
      return;
    }
    const kind = source[tag + 1] as string;
    const sign = source[tag + 2] === "-" || source[tag + 2] === "+" ? (source[tag + 2] as string) : "";
    const after = tag + 2 + sign.length;
    const raw = kind === "%" ? this.#rawBegin(after) : undefined;
    this.#data(this.#stripped(source.slice(this.#at, tag), sign, kind));
    this.#advance(raw ?? after);
    if (raw !== undefined) this.#raw();
    else if (kind === "#") this.#comment();
    else this.#inside(kind === "{" ? "variable" : "block");
  }

  #data(text: string): void {
    if (text !== "") this.#push("data", text);
  }

  /** Text before a tag: `-` removes all whitespace, and `lstrip_blocks` that of the tag's line. */
  #stripped(text: string, sign: string, kind: string): string {
    if (sign === "-") {
      let end = text.length;
      while (end > 0 && isSpace(text[end - 1])) end--;
      return text.slice(0, end);
    }
    if (sign === "+" || kind === "{") return text;
    const lineStart = text.lastIndexOf("\n") + 1;
    if (lineStart === 0 && !this.#lineStarting) return text;
    for (let at = lineStart; at < text.length; at++) if (!isSpace(text[at])) return text;
    return text.slice(0, lineStart);
  }

  /** The beginning of a raw block's text, if this is one. */
  #rawBegin(from: number): number | undefined {
    let at = this.#spaceAfter(from);
    if (!this.#source.startsWith("raw", at)) return undefined;
    at = this.#spaceAfter(at + 3);
    if (this.#source.startsWith("-%}", at)) return this.#spaceAfter(at + 3);
    return this.#source.startsWith("%}", at) ? at + 2 : undefined;
  }

  #raw(): void {
    const source = this.#source;
    for (let tag = source.indexOf("{%", this.#at); tag >= 0; tag = source.indexOf("{%", tag + 2)) {
      const sign = source[tag + 2] === "-" || source[tag + 2] === "+" ? (source[tag + 2] as string) : "";
      let at = this.#spaceAfter(tag + 2 + sign.length);
      if (!source.startsWith("endraw", at)) continue;
      at = this.#spaceAfter(at + 6);
      const end = this.#blockEnd(at);
      if (end === undefined) continue;
      this.#data(this.#stripped(source.slice(this.#at, tag), sign, "%"));
      this.#advance(end);
      return;
    }
    // Jinja accepts an empty one.
    if (this.#at < source.length) throw syntaxError("Missing end of raw directive", this.#line);
  }

  #comment(): void {
    const end = this.#source.indexOf("#}", this.#at);
    if (end < 0) {
      if (this.#at < this.#source.length) throw syntaxError("Missing end of comment tag", this.#line);
      return;
    }
    const sign = end > this.#at ? this.#source[end - 1] : "";
    if (sign === "-") this.#advance(this.#spaceAfter(end + 2));
    else this.#advance(sign !== "+" && this.#source[end + 2] === "\n" ? end + 3 : end + 2);
  }

  /** The position after a block's end here, if there is one. */
  #blockEnd(at: number): number | undefined {
    const source = this.#source;
    if (source.startsWith("-%}", at)) return this.#spaceAfter(at + 3);
    if (source.startsWith("+%}", at)) return at + 3;
    if (!source.startsWith("%}", at)) return undefined;
    return source[at + 2] === "\n" ? at + 3 : at + 2;
  }

  #variableEnd(at: number): number | undefined {
    if (this.#source.startsWith("-}}", at)) return this.#spaceAfter(at + 3);
    return this.#source.startsWith("}}", at) ? at + 2 : undefined;
  }

  /** The tokens of `{{ … }}` or `{% … %}`. */
  #inside(kind: "variable" | "block"): void {
    this.#push(`${kind}_begin`, "");
    const open: string[] = [];
    while (this.#at < this.#source.length) {
      const end =
        open.length > 0 ? undefined : kind === "block" ? this.#blockEnd(this.#at) : this.#variableEnd(this.#at);
      if (end !== undefined) {
        this.#push(`${kind}_end`, "");
        this.#advance(end);
        return;
      }
      const space = this.#spaceAfter(this.#at);
      if (space > this.#at) this.#advance(space);
      else this.#token(open);
    }
  }

  #token(open: string[]): void {
    const at = this.#at;
    const character = this.#source[at] as string;
    if (this.#number(at) || this.#name(at)) return;
    if (character === "'" || character === '"') {
      this.#string(at, character);
      return;
    }
    const pair = this.#source.slice(at, at + 2);
    const operator = OPERATORS.has(pair) ? pair : OPERATORS.has(character) ? character : undefined;
    if (!operator) throw syntaxError(`unexpected char ${JSON.stringify(character)} at ${at}`, this.#line);
    const closing = CLOSING[operator];
    if (closing) {
      // The parser refuses it too, but only when all is split.
      if (open.push(closing) > DEEPEST_SOURCE) throw syntaxError("the template nests too deeply", this.#line);
    } else if (operator === "}" || operator === ")" || operator === "]") {
      const expected = open.pop();
      if (expected !== operator) {
        throw syntaxError(`unexpected '${operator}'${expected ? `, expected '${expected}'` : ""}`, this.#line);
      }
    }
    this.#push("operator", operator);
    this.#advance(at + operator.length);
  }

  #number(at: number): boolean {
    const character = this.#source[at] as string;
    if (character < "0" || character > "9") return false;
    FLOAT.lastIndex = at;
    INTEGER.lastIndex = at;
    const float = this.#source[at - 1] === "." ? null : FLOAT.exec(this.#source);
    const match = float ?? INTEGER.exec(this.#source);
    if (!match) return false;
    if (match[0].length > LONGEST_NUMBER) throw syntaxError("a number is too long", this.#line);
    const digits = match[0].replace(/_/g, "");
    this.#push("number", match[0], float ? Number(digits) : BigInt(digits));
    this.#advance(at + match[0].length);
    return true;
  }

  #name(at: number): boolean {
    NAME.lastIndex = at;
    const match = NAME.exec(this.#source);
    if (!match) return false;
    if (!IDENTIFIER.test(match[0])) throw syntaxError("Invalid character in identifier", this.#line);
    this.#push("name", match[0]);
    this.#advance(at + match[0].length);
    return true;
  }

  #string(at: number, quote: string): void {
    const source = this.#source;
    let end = at + 1;
    while (end < source.length && source[end] !== quote) end += source[end] === "\\" ? 2 : 1;
    if (end >= source.length) throw syntaxError(`unexpected char ${JSON.stringify(quote)} at ${at}`, this.#line);
    this.#push("string", readEscapes(source.slice(at + 1, end), this.#line));
    this.#advance(end + 1);
  }
}

/** The position of the next `{{`, `{%` or `{#`; -1 if there is none. */
function nextTag(source: string, from: number): number {
  for (let at = source.indexOf("{", from); at >= 0; at = source.indexOf("{", at + 1)) {
    const kind = source[at + 1];
    if (kind === "{" || kind === "%" || kind === "#") return at;
  }
  return -1;
}

const SIMPLE: Readonly<Record<string, string>> = {
  "\n": "",
  "\\": "\\",
  "'": "'",
  '"': '"',
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};
const HEX: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

/** A string's escapes, as Python's `unicode-escape` reads them. */
function readEscapes(text: string, line: number): string {
  if (!text.includes("\\")) return text;
  let result = "";
  let at = 0;
  while (at < text.length) {
    const slash = text.indexOf("\\", at);
    if (slash < 0) return result + text.slice(at);
    result += text.slice(at, slash);
    const letter = String.fromCodePoint(text.codePointAt(slash + 1) ?? 92);
    const digits = HEX[letter];
    const octal = /^[0-7]{1,3}/.exec(text.slice(slash + 1, slash + 4))?.[0];
    at = slash + 1 + letter.length;
    if (SIMPLE[letter] !== undefined) result += SIMPLE[letter];
    else if (octal !== undefined) {
      result += String.fromCharCode(Number.parseInt(octal, 8));
      at = slash + 1 + octal.length;
    } else if (digits !== undefined) {
      const hex = text.slice(at, at + digits);
      const code = Number.parseInt(hex, 16);
      if (hex.length < digits || !/^[0-9a-fA-F]+$/.test(hex)) throw syntaxError(`truncated \\${letter} escape`, line);
      if (code > 0x10ffff) throw syntaxError("illegal Unicode character", line);
      result += String.fromCodePoint(code);
      at += digits;
    } else if (letter === "N") throw syntaxError("names of characters (\\N{…}) are not supported", line);
    else result += letter > "\x7f" ? asciiEscape(letter) : `\\${letter}`;
  }
  return result;
}

/** Jinja writes characters beyond ASCII as escapes first, so that a backslash before one escapes the escape. */
function asciiEscape(character: string): string {
  const code = character.codePointAt(0) as number;
  const [letter, digits] = code < 0x100 ? ["x", 2] : code < 0x10000 ? ["u", 4] : ["U", 8];
  return `\\${letter}${code.toString(16).padStart(digits as number, "0")}`;
}
