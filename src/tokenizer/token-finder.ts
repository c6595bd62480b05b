/** Finds any of many words in a text in one pass (Aho and Corasick's automaton). */
import { PairTable } from "./models/pair-table.ts";
import type { Effort } from "./patterns/pattern.ts";

export interface Found {
  /** The index in the list of words. */
  readonly word: number;
  readonly start: number;
  readonly end: number;
}

const ROOT = 0;
const NONE = -1;

export class TokenFinder {
  readonly #words: readonly string[];
  /** The state that follows each one by a character. A state is a beginning of words; there may be millions. */
  readonly #next: PairTable;
  /** The state of the longest proper suffix of each one's characters. */
  readonly #fail: Int32Array;
  readonly #depth: Int32Array;
  /** The longest word that ends in each state, as its place in the list. */
  readonly #word: Int32Array;

  /** @param words of well-formed text; empty ones are never found; of equal ones, the first is */
  constructor(words: readonly string[]) {
    this.#words = words;
    const most = 1 + words.reduce((sum, { length }) => sum + length, 0);
    this.#next = new PairTable(most);
    this.#fail = new Int32Array(most);
    this.#depth = new Int32Array(most);
    this.#word = new Int32Array(most).fill(NONE);
    let states = 1;
    words.forEach((word, index) => {
      let state = ROOT;
      for (let at = 0; at < word.length; at++) {
        const unit = word.charCodeAt(at);
        let next = this.#next.get(state, unit);
        if (next === NONE) {
          next = states++;
          this.#next.set(state, unit, next);
          this.#depth[next] = at + 1;
        }
        state = next;
      }
      if (word !== "" && this.#word[state] === NONE) this.#word[state] = index;
    });
    this.#link();
  }

  /** Finds, the shortest first, the state that each one falls back to if a character does not follow. */
  #link(): void {
    const words = this.#words;
    /** Words that go on, and the state in which each one is. */
    const open = Int32Array.from(words, (_, index) => index);
    const states = new Int32Array(words.length);
    let count = open.length;
    for (let at = 0; count > 0; at++) {
      let kept = 0;
      for (let i = 0; i < count; i++) {
        const index = open[i] as number;
        const word = words[index] as string;
        if (at >= word.length) continue;
        open[kept++] = index;
        const unit = word.charCodeAt(at);
        const state = states[index] as number;
        const next = this.#next.get(state, unit);
        states[index] = next;
        // Words that begin alike share states; what is found for one again is the same.
        const fail = state === ROOT ? ROOT : this.#step(this.#fail[state] as number, unit);
        this.#fail[next] = fail;
        if (this.#word[next] === NONE) this.#word[next] = this.#word[fail] as number;
      }
      count = kept;
    }
  }

  /**
   * The match that begins first, and of those the longest.
   * @param from where to begin to look
   * @param effort is charged with a step per character
   */
  find(text: string, from: number, effort: Effort): Found | undefined {
    if (this.#word.length === 1) return undefined;
    let state = ROOT;
    let found: Found | undefined;
    let at = from;
    for (; at < text.length; at++) {
      state = this.#step(state, text.charCodeAt(at));
      // No match that begins early enough can still follow.
      if (found && at + 1 - (this.#depth[state] as number) > found.start) break;
      const word = this.#word[state] as number;
      if (word === NONE) continue;
      const end = at + 1;
      const start = end - (this.#words[word] as string).length;
      if (!found || start <= found.start) found = { word, start, end };
    }
    effort.spend(at - from, () => "the search for added tokens");
    return found;
  }

  #step(from: number, unit: number): number {
    for (let state = from; ; state = this.#fail[state] as number) {
      const next = this.#next.get(state, unit);
      if (next !== NONE) return next;
      if (state === ROOT) return ROOT;
    }
  }
}
