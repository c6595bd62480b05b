/**
 * Regular expressions in Oniguruma's syntax and with its meaning, as the Rust library of tokenizers uses them. JavaScript's
 * own differ in what they mean (\w, \s, $, (?m), possessive quantifiers) and can take exponential time.
 */
import { search } from "../../jinja/search.ts";
import { compile } from "./compile.ts";
import { Effort } from "./effort.ts";
import { Machine } from "./machine.ts";
import { parse } from "./parse.ts";

export { Effort };

export interface Pattern {
  /** Its size: how much there is to try at a character, for its effort limit. */
  readonly size: number;
  /** UTF-16 units that a match has at least: 0 if it may be empty. */
  readonly leastLength: number;
  /**
   * All matches in a text, one after another: where the first starts and ends, where the second does, and so on, in
   * UTF-16 units. An empty match directly after the match before does not count.
   * @param text well-formed
   * @param effort of the text, or of the larger one of which it is a piece
   * @throws SluiceError `bad_file` if the pattern takes too long on this text
   */
  matches(text: string, effort: Effort): number[];
}

/** @throws SluiceError `bad_file` if the pattern is damaged, too large, or uses what is not supported */
export function compilePattern(source: string): Pattern {
  const program = compile(source, parse(source));
  const machine = new Machine(program);
  const pattern: Omit<Pattern, "leastLength"> = {
    size: program.code.length,
    matches(text, effort) {
      const found: number[] = [];
      machine.open(text, effort);
      let from = 0;
      let last = -1;
      while (from <= text.length && machine.search(from)) {
        const { start, end } = machine;
        if (start === end && end === last) {
          from += (text.codePointAt(from) ?? 0) > 0xffff ? 2 : 1;
          continue;
        }
        found.push(start, end);
        from = end;
        last = end;
      }
      machine.close();
      return found;
    },
  };
  // What looks around may match nothing in some texts, although it finds nothing in an empty one.
  const mayBeEmpty = LOOKING.test(source) || pattern.matches("", new Effort(0, pattern.size)).length > 0;
  return { ...pattern, leastLength: mayBeEmpty ? 0 : 1 };
}

/** Groups with a sign, anchors and what keeps a match out. */
const LOOKING = /\(\?[^:]|[$^]|\\[bBAzZGKyYR]/;

/** The pattern that matches a text literally. */
export function literalPattern(literal: string): Pattern {
  return {
    size: 1,
    leastLength: literal.length,
    matches(text) {
      const found: number[] = [];
      const step = literal.length || 1;
      const find = search(text, literal);
      for (let at = find(0); at >= 0 && at <= text.length; ) {
        found.push(at, at + literal.length);
        const next = literal === "" && (text.codePointAt(at) ?? 0) > 0xffff ? at + 2 : at + step;
        if (next > text.length) break;
        at = find(next);
      }
      return found;
    },
  };
}
