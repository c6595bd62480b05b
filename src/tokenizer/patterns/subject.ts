/** The text that a pattern is tried on, read one character at a time. */
import type { Assertion } from "./node.ts";
import type { Program } from "./program.ts";
import { sets } from "./properties.ts";

export class Subject {
  readonly text: string;
  /** Where the current search began. */
  searchStart = 0;
  readonly #sets: Program["sets"];
  /** The bitmaps of the sets for the first plane. */
  readonly #low: readonly Uint32Array[];

  /** @param text well-formed: no lone surrogates */
  constructor(text: string, program: Program) {
    this.text = text;
    this.#sets = program.sets;
    this.#low = program.low;
  }

  /** The UTF-16 units of the character at a position, if the set has it; else 0. */
  width(set: number, at: number): number {
    if (at >= this.text.length) return 0;
    const unit = this.text.charCodeAt(at);
    if ((unit & 0xfc00) === 0xd800) return this.#sets[set]?.has(this.text.codePointAt(at) as number) ? 2 : 0;
    return (((this.#low[set] as Uint32Array)[unit >>> 5] as number) >>> (unit & 31)) & 1;
  }

  /** The position of the character before; there must be one. */
  back(at: number): number {
    return at > 1 && (this.text.charCodeAt(at - 1) & 0xfc00) === 0xdc00 ? at - 2 : at - 1;
  }

  /** Whether the set has the character before a position. */
  hasBefore(set: number, at: number): boolean {
    return at > 0 && this.width(set, this.back(at)) > 0;
  }

  holds(assertion: Assertion, at: number): boolean {
    const { text } = this;
    switch (assertion) {
      case "lineStart":
        return at === 0 || (text[at - 1] === "\n" && at < text.length);
      case "lineEnd":
        return at === text.length || text[at] === "\n";
      case "textStart":
        return at === 0;
      case "textEnd":
        return at === text.length;
      case "textEndOrNewline":
        return at === text.length || (at === text.length - 1 && text[at] === "\n");
      case "wordBoundary":
        return this.#isWord(at) !== (at > 0 && this.#isWord(this.back(at)));
      case "notWordBoundary":
        return this.#isWord(at) === (at > 0 && this.#isWord(this.back(at)));
      case "searchStart":
        return at === this.searchStart;
    }
  }

  #isWord(at: number): boolean {
    const code = this.text.codePointAt(at);
    return code !== undefined && sets.word().has(code);
  }
}
