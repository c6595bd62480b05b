/** Parses patterns in Oniguruma's syntax, as in tokenizer files, into a tree. */
import { ignoreCase } from "./case-fold.ts";
import { CodeSet } from "./code-set.ts";
import { Cursor } from "./cursor.ts";
import { characterEscape, classEscape } from "./escapes.ts";
import type { Assertion, Node } from "./node.ts";
import { parseBrackets } from "./parse-brackets.ts";
import { sets } from "./properties.ts";

/** What `(?i)` and similar options switch. */
interface Flags {
  readonly anyCase: boolean;
  /** `(?m)`: a dot matches line feeds too. */
  readonly dotAll: boolean;
  /** `(?x)`: spaces and comments mean nothing. */
  readonly extended: boolean;
}

const MAX_LENGTH = 50_000;
const MAX_DEPTH = 200;
/** Oniguruma's own bound. */
const MAX_REPEAT = 100_000;

/** @throws SluiceError `bad_file` if the pattern is damaged, too large, or uses what is not supported */
export function parse(source: string): Node {
  const cursor = new Cursor(source);
  if (source.length > MAX_LENGTH) cursor.fail(`it has more than ${MAX_LENGTH} characters`);
  const parser = new Parser(cursor);
  const node = parser.choice({ anyCase: false, dotAll: false, extended: false }, 0);
  if (!cursor.done) cursor.fail("a parenthesis is closed that was not opened");
  return node;
}

class Parser {
  readonly #cursor: Cursor;
  #groups = 0;

  constructor(cursor: Cursor) {
    this.#cursor = cursor;
  }

  /** Alternatives, up to a closing parenthesis or the end. */
  choice(flags: Flags, depth: number): Node {
    if (depth > MAX_DEPTH) this.#cursor.fail("its groups are nested too deeply");
    const options: Node[] = [];
    do options.push(this.#sequence(flags, depth));
    while (this.#cursor.eat("|"));
    return options.length === 1 ? (options[0] as Node) : { kind: "choice", options };
  }

  #sequence(flags: Flags, depth: number): Node {
    const cursor = this.#cursor;
    const items: Node[] = [];
    for (;;) {
      if (flags.extended) cursor.match(/(?:\s|#[^\n]*)+/y);
      if (cursor.match(/\(\?#(?:[^\\)]|\\[\s\S])*\)/y)) continue;
      if (cursor.done || cursor.next === "|" || cursor.next === ")") break;
      const switched = cursor.match(/\(\?([imx]*)(?:-([imx]*))?\)/y);
      if (switched) {
        // From here to the end of the group, over its further alternatives: a(?i)b|c is a(?i:b|c).
        items.push(this.choice(change(flags, switched), depth + 1));
        break;
      }
      items.push(this.#quantified(this.#atom(flags, depth), flags));
    }
    return items.length === 1 ? (items[0] as Node) : { kind: "sequence", items };
  }

  #atom(flags: Flags, depth: number): Node {
    const cursor = this.#cursor;
    if (cursor.eat("(")) return this.#group(flags, depth + 1);
    if (cursor.eat("[")) return { kind: "set", set: parseBrackets(cursor, flags.anyCase) };
    if (cursor.eat(".")) return { kind: "set", set: flags.dotAll ? sets.any() : sets.notNewline() };
    if (cursor.eat("^")) return assertion("lineStart");
    if (cursor.eat("$")) return assertion("lineEnd");
    if (cursor.eat("\\")) return this.#escape(flags);
    if (/[*+?]/.test(cursor.next)) cursor.fail(`${cursor.next} repeats nothing`);
    return literal(cursor.take(), flags);
  }

  #group(flags: Flags, depth: number): Node {
    const cursor = this.#cursor;
    if (cursor.eat("?:")) return this.#body(flags, depth);
    if (cursor.eat("?=")) return { kind: "look", behind: false, negative: false, body: this.#body(flags, depth) };
    if (cursor.eat("?!")) return { kind: "look", behind: false, negative: true, body: this.#body(flags, depth) };
    if (cursor.eat("?<=")) return { kind: "look", behind: true, negative: false, body: this.#body(flags, depth) };
    if (cursor.eat("?<!")) return { kind: "look", behind: true, negative: true, body: this.#body(flags, depth) };
    if (cursor.eat("?>")) return { kind: "atomic", body: this.#body(flags, depth) };
    const switched = cursor.match(/\?([imx]*)(?:-([imx]*))?:/y);
    if (switched) return this.#body(change(flags, switched), depth);
    // Names only serve back-references.
    if (!cursor.match(/\?P?<[^\W\d]\w*>|\?'[^\W\d]\w*'/y) && cursor.next === "?") {
      cursor.fail(`the group (${cursor.source.slice(cursor.at, cursor.at + 2)} is not supported`);
    }
    this.#groups++;
    return this.#body(flags, depth);
  }

  #body(flags: Flags, depth: number): Node {
    const body = this.choice(flags, depth);
    if (!this.#cursor.eat(")")) this.#cursor.fail("a parenthesis is not closed");
    return body;
  }

  #escape(flags: Flags): Node {
    const cursor = this.#cursor;
    const set = classEscape(cursor, false);
    if (set) return { kind: "set", set };
    const asserted = assertions.get(cursor.next);
    if (asserted) {
      cursor.at++;
      return assertion(asserted);
    }
    if (cursor.eat("R")) return newline();
    if (cursor.eat("N")) return { kind: "set", set: sets.notNewline() };
    if (cursor.eat("O")) return { kind: "set", set: sets.any() };
    if (cursor.eat("K")) return { kind: "keep" };
    const number = /^[1-9]\d{0,2}/.exec(cursor.source.slice(cursor.at, cursor.at + 3))?.[0];
    if (number !== undefined && (Number(number) < 10 || Number(number) <= this.#groups)) {
      cursor.fail("back-references are not supported");
    }
    if (/[gkXyY]/.test(cursor.next)) cursor.fail(`\\${cursor.next} is not supported`);
    return literal(characterEscape(cursor), flags);
  }

  #quantified(atom: Node, flags: Flags): Node {
    const cursor = this.#cursor;
    let node = atom;
    for (let stacked = 0; ; stacked++) {
      if (flags.extended) cursor.match(/(?:\s|#[^\n]*)+/y);
      const sign = cursor.match(/([*+?])([?+]?)|\{(\d+)\}|\{(\d*)(,)(\d*)\}(\??)/y);
      if (!sign) return node;
      if (sign[5] === "," && sign[4] === "" && sign[6] === "") {
        // "{,}" is text.
        cursor.at -= sign[0].length;
        return node;
      }
      if (atom.kind === "look" || atom.kind === "assert" || atom.kind === "keep")
        cursor.fail(`${sign[0]} repeats nothing`);
      if (stacked === 10) cursor.fail("too many signs of repetition follow each other");
      node = repeat(cursor, node, sign);
    }
  }
}

/** @param sign what the expression in `#quantified` matched */
function repeat(cursor: Cursor, body: Node, sign: RegExpExecArray): Node {
  const [, symbol, suffix, exactly, from, , to, lazy] = sign;
  if (symbol !== undefined) {
    const mode = suffix === "?" ? "lazy" : suffix === "+" ? "possessive" : "greedy";
    return { kind: "repeat", body, min: symbol === "+" ? 1 : 0, max: symbol === "?" ? 1 : Infinity, mode };
  }
  const min = Number(exactly ?? from);
  const max = exactly !== undefined ? min : to === "" ? Infinity : Number(to);
  if (min > MAX_REPEAT || (max !== Infinity && max > MAX_REPEAT))
    cursor.fail(`it repeats more than ${MAX_REPEAT} times`);
  // Oniguruma reads a descending range as a possessive ascending one.
  if (min > max) return { kind: "repeat", body, min: max, max: min, mode: "possessive" };
  return { kind: "repeat", body, min, max, mode: lazy === "?" ? "lazy" : "greedy" };
}

function change(flags: Flags, [, on = "", off = ""]: RegExpExecArray): Flags {
  const now = (letter: string, before: boolean) => (before || on.includes(letter)) && !off.includes(letter);
  return {
    anyCase: now("i", flags.anyCase),
    dotAll: now("m", flags.dotAll),
    extended: now("x", flags.extended),
  };
}

function literal(code: number, flags: Flags): Node {
  const set = CodeSet.of(code);
  if (flags.anyCase && CASED.test(String.fromCodePoint(code))) return { kind: "set", set: ignoreCase(set) };
  return { kind: "set", set, code };
}

const CASED = /\p{Changes_When_Casemapped}/u;

/** \R: the line end of Windows, or one character that ends a line. */
function newline(): Node {
  const windows: Node = { kind: "sequence", items: [literal(0x0d, plain), literal(0x0a, plain)] };
  const one: Node = {
    kind: "set",
    set: CodeSet.ofRanges([
      [0x0a, 0x0d],
      [0x85, 0x85],
      [0x2028, 0x2029],
    ]),
  };
  return { kind: "atomic", body: { kind: "choice", options: [windows, one] } };
}

const plain: Flags = { anyCase: false, dotAll: false, extended: false };

const assertions: ReadonlyMap<string, Assertion> = new Map([
  ["A", "textStart"],
  ["z", "textEnd"],
  ["Z", "textEndOrNewline"],
  ["b", "wordBoundary"],
  ["B", "notWordBoundary"],
  ["G", "searchStart"],
]);

function assertion(what: Assertion): Node {
  return { kind: "assert", what };
}
