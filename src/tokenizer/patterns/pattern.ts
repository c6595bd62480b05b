/**
 * Regular expressions in Oniguruma's syntax and with its meaning, as the Rust library of tokenizers uses them. JavaScript's
 * own differ in what they mean (\w, \s, $, (?m), possessive quantifiers) and can take exponential time.
 */
import { compile } from "./compile.ts";
import { Effort } from "./effort.ts";
import { Machine } from "./machine.ts";
import { parse } from "./parse.ts";

export { Effort };

export interface Pattern {
  /** Its size: how much there is to try at a character, for its effort limit. */
  readonly size: number;
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
  return {
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
}

/** The pattern that matches a text literally. */
export function literalPattern(literal: string): Pattern {
  return {
    size: 1,
    matches(text) {
      const found: number[] = [];
      const step = literal.length || 1;
      for (let at = text.indexOf(literal); at >= 0 && at <= text.length; ) {
        found.push(at, at + literal.length);
        const next = literal === "" && (text.codePointAt(at) ?? 0) > 0xffff ? at + 2 : at + step;
        if (next > text.length) break;
        at = text.indexOf(literal, next);
      }
      return found;
    },
  };
}
