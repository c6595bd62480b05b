/**
 * `pattern` of a JSON schema: a regular expression as an expression over the characters of a JSON string. Literals,
 * classes, groups, alternatives and counts are read; back-references, look-around and word boundaries are refused. As the
 * standard says, a pattern may match anywhere in the text unless `^` and `$` hold it.
 */
import { SluiceError } from "../errors.ts";
import { show, showText } from "../show.ts";
import { all, any, byte, type Expression, empty, inTurn, literal, many, oneAmong, repeat } from "./expression.ts";
import { character, plainCharacter } from "./json-text.ts";

/** @param path its place in the schema, for errors */
export function compilePattern(source: string, path: string): Expression {
  const reader = new PatternReader(source, path);
  return reader.read();
}

/** Characters of a class, below 128. */
type Characters = ReadonlySet<number>;

const DIGITS = charactersOf([0x30, 0x39]);
const WORD = charactersOf([0x30, 0x39], [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]);
const SPACES = charactersOf([0x09, 0x0d], [0x20, 0x20]);
const CLASSES: Readonly<Record<string, Characters>> = { d: DIGITS, w: WORD, s: SPACES };
const CONTROLS: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", f: "\f", v: "\v" };
/** A count without an upper bound, and the largest that is taken. */
const MOST_REPEATS = 1000;
/** Maximum length of a pattern, and depth of groups within groups. */
const MOST_CHARACTERS = 10_000;
const MOST_DEPTH = 100;

class PatternReader {
  readonly #source: string;
  readonly #path: string;
  #at = 0;
  #depth = 0;

  constructor(source: string, path: string) {
    this.#source = source;
    this.#path = path;
  }

  read(): Expression {
    if (this.#source.length > MOST_CHARACTERS) throw this.#refused(`more than ${MOST_CHARACTERS} characters`);
    const anywhere = many(character);
    const alternatives: Expression[] = [];
    do {
      const isHeld = this.#take("^");
      const body = this.#sequence();
      const isEnded = this.#take("$");
      alternatives.push(all(isHeld ? empty : anywhere, body, isEnded ? empty : anywhere));
    } while (this.#take("|"));
    if (this.#at < this.#source.length) throw this.#refused(`${show(this.#source[this.#at])} at ${this.#at}`);
    return oneAmong(alternatives);
  }

  #alternatives(): Expression {
    const choices = [this.#sequence()];
    while (this.#take("|")) choices.push(this.#sequence());
    return oneAmong(choices);
  }

  #sequence(): Expression {
    const parts: Expression[] = [];
    while (this.#at < this.#source.length && !"|)$".includes(this.#source[this.#at] as string))
      parts.push(this.#counted());
    return inTurn(parts);
  }

  #counted(): Expression {
    const part = this.#atom();
    const counted = this.#count();
    if (!counted) return part;
    // Lazy or greedy: the same texts fit.
    this.#take("?");
    const [least, most] = counted;
    return repeat(part, least, most);
  }

  #count(): readonly [number, number] | undefined {
    if (this.#take("*")) return [0, Number.POSITIVE_INFINITY];
    if (this.#take("+")) return [1, Number.POSITIVE_INFINITY];
    if (this.#take("?")) return [0, 1];
    const found = /^\{(\d+)(,(\d*))?\}/.exec(this.#source.slice(this.#at));
    if (!found) return undefined;
    this.#at += found[0].length;
    const least = Number(found[1]);
    const most = found[2] === undefined ? least : found[3] === "" ? Number.POSITIVE_INFINITY : Number(found[3]);
    if (least > most || least > MOST_REPEATS || (Number.isFinite(most) && most > MOST_REPEATS)) {
      throw this.#refused(`the count ${found[0]}`);
    }
    return [least, most];
  }

  #atom(): Expression {
    const next = this.#next();
    switch (next) {
      case "(": {
        if (this.#source[this.#at] === "?" && !this.#source.startsWith("?:", this.#at)) throw this.#refused("(?");
        if (this.#take("?")) this.#take(":");
        if (++this.#depth > MOST_DEPTH) throw this.#refused(`groups nested deeper than ${MOST_DEPTH}`);
        const inner = this.#alternatives();
        this.#depth--;
        if (!this.#take(")")) throw this.#refused("a group without an end");
        return inner;
      }
      case "[":
        return this.#class();
      case ".":
        return plainOrQuoted;
      case "\\":
        return this.#escaped();
      case "^":
      case "*":
      case "+":
      case "?":
      case "{":
      case "}":
      case "]":
        throw this.#refused(`${next} at ${this.#at - 1}`);
      default:
        return characterOf(next);
    }
  }

  #escaped(): Expression {
    const next = this.#next();
    const named = CLASSES[next.toLowerCase()];
    if (named) return setOf(named, next !== next.toLowerCase());
    return characterOf(this.#single(next));
  }

  /** The character that an escape means. */
  #single(next: string): string {
    if (next in CONTROLS) return CONTROLS[next] as string;
    const digits = next === "u" ? 4 : next === "x" ? 2 : 0;
    if (digits > 0) {
      const code = this.#source.slice(this.#at, this.#at + digits);
      if (!new RegExp(`^[0-9a-fA-F]{${digits}}$`).test(code)) throw this.#refused(`\\${next}`);
      this.#at += digits;
      return String.fromCharCode(Number.parseInt(code, 16));
    }
    if (/[A-Za-z0-9]/.test(next)) throw this.#refused(`\\${next}`);
    return next;
  }

  #class(): Expression {
    const isNot = this.#take("^");
    const set = new Set<number>();
    const wide: string[] = [];
    while (!this.#take("]")) {
      const from = this.#member();
      if (typeof from !== "string") {
        for (const code of from) set.add(code);
        continue;
      }
      const isRange = this.#source[this.#at] === "-" && this.#source[this.#at + 1] !== "]";
      if (isRange) this.#at++;
      const to = isRange ? this.#member() : from;
      if (typeof to !== "string") throw this.#refused("a range that ends in a class");
      const [low, high] = [from.codePointAt(0) as number, to.codePointAt(0) as number];
      if (low > high || (high >= 128 && high - low > MOST_REPEATS)) throw this.#refused(`the range ${from}-${to}`);
      for (let code = low; code <= high; code++) {
        if (code < 128) set.add(code);
        else wide.push(String.fromCodePoint(code));
        if (wide.length > MOST_CHARACTERS) throw this.#refused(`a class of more than ${MOST_CHARACTERS} characters`);
      }
    }
    if (isNot && wide.length > 0) throw this.#refused("a negated class beyond ASCII");
    const narrow = setOf(set, isNot);
    return wide.length === 0 ? narrow : oneAmong([narrow, ...wide.map((each) => literal(each))]);
  }

  #member(): string | Characters {
    const next = this.#next();
    if (next !== "\\") return next;
    const escaped = this.#next();
    const named = CLASSES[escaped.toLowerCase()];
    if (!named) return this.#single(escaped);
    if (escaped === escaped.toLowerCase()) return named;
    return new Set(Array.from({ length: 128 }, (_, code) => code).filter((code) => !named.has(code)));
  }

  #next(): string {
    const code = this.#source.codePointAt(this.#at);
    if (code === undefined) throw this.#refused("its end");
    const next = String.fromCodePoint(code);
    this.#at += next.length;
    return next;
  }

  #take(wanted: string): boolean {
    if (!this.#source.startsWith(wanted, this.#at)) return false;
    this.#at += wanted.length;
    return true;
  }

  #refused(what: string): SluiceError {
    return new SluiceError(
      "usage",
      `The JSON schema: ${showText(this.#path, 200)} "${showText(this.#source, 60)}" has ${showText(what)}, which is not supported`,
      { hint: "Literals, classes, groups, | and counts are.", field: "json_schema" },
    );
  }
}

function charactersOf(...ranges: readonly (readonly [number, number])[]): Characters {
  const set = new Set<number>();
  for (const [from, to] of ranges) for (let code = from; code <= to; code++) set.add(code);
  return set;
}

/** A character as a JSON string writes it. */
function characterOf(given: string): Expression {
  return literal(JSON.stringify(given).slice(1, -1));
}

/** Any of these characters, or with `isNot` any other one. */
function setOf(characters: Characters, isNot: boolean): Expression {
  const codes = Array.from({ length: 128 }, (_, code) => code).filter((code) => characters.has(code) !== isNot);
  const isPlain = (code: number): boolean => code >= 0x20 && code !== 0x22 && code !== 0x5c;
  const plain = byte(...codes.filter(isPlain).map((code): [number, number] => [code, code]));
  const escaped = codes.filter((code) => !isPlain(code)).map((code) => characterOf(String.fromCharCode(code)));
  return any(plain, ...escaped, ...(isNot ? [wideCharacter] : []));
}

/** Every character beyond ASCII. */
const wideCharacter: Expression = plainCharacter.kind === "any" ? any(...plainCharacter.choices.slice(1)) : empty;

/** What a dot matches: every character but the ends of lines. */
const plainOrQuoted: Expression = any(plainCharacter, literal('\\"'), literal("\\\\"), literal("\\t"));
