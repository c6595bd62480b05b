/** Finds any of many words in a text in one pass (Aho and Corasick's automaton). */
import type { Effort } from "./patterns/pattern.ts";

/** A state: the words that share a prefix. */
interface State {
  readonly next: Map<number, State>;
  readonly depth: number;
  /** The state of the longest proper suffix of this one's characters. */
  fail: State | undefined;
  /** The longest word that ends here, as its place in the list. */
  word: number | undefined;
}

export interface Found {
  /** The index in the list of words. */
  readonly word: number;
  readonly start: number;
  readonly end: number;
}

export class TokenFinder {
  readonly #words: readonly string[];
  readonly #root = makeState(0);

  /** @param words of well-formed text; empty ones are never found; of equal ones, the first is */
  constructor(words: readonly string[]) {
    this.#words = words;
    words.forEach((word, index) => {
      let state = this.#root;
      for (let at = 0; at < word.length; at++) {
        const unit = word.charCodeAt(at);
        let next = state.next.get(unit);
        if (!next) {
          next = makeState(state.depth + 1);
          state.next.set(unit, next);
        }
        state = next;
      }
      if (word !== "") state.word ??= index;
    });
    this.#link();
  }

  /** Finds, breadth first, the state that each one falls back to if a character does not follow. */
  #link(): void {
    const root = this.#root;
    const queue = [...root.next.values()];
    for (const state of queue) state.fail = root;
    for (let state = queue[0], index = 0; state; state = queue[++index]) {
      for (const [unit, next] of state.next) {
        const fail = step(state.fail as State, unit);
        next.fail = fail;
        next.word ??= fail.word;
        queue.push(next);
      }
    }
  }

  /**
   * The match that begins first, and of those the longest.
   * @param from where to begin to look
   * @param effort is charged with a step per character
   */
  find(text: string, from: number, effort: Effort): Found | undefined {
    if (this.#root.next.size === 0) return undefined;
    let state = this.#root;
    let found: Found | undefined;
    let at = from;
    for (; at < text.length; at++) {
      state = step(state, text.charCodeAt(at));
      // No match that begins early enough can still follow.
      if (found && at + 1 - state.depth > found.start) break;
      if (state.word === undefined) continue;
      const end = at + 1;
      const start = end - (this.#words[state.word] as string).length;
      if (!found || start <= found.start) found = { word: state.word, start, end };
    }
    effort.spend(at - from, () => "the search for added tokens");
    return found;
  }
}

function makeState(depth: number): State {
  return { next: new Map(), depth, fail: undefined, word: undefined };
}

function step(from: State, unit: number): State {
  for (let state = from; ; ) {
    const next = state.next.get(unit);
    if (next) return next;
    if (!state.fail) return state;
    state = state.fail;
  }
}
