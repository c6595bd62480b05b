/** Caches the ids of words: texts repeat them, and a lookup is cheaper than a merge. */

/** Longer pieces seldom repeat. */
const LONGEST = 64;
const MOST_WORDS = 10_000;

export class WordCache {
  readonly #words = new Map<string, readonly number[]>();
  readonly #encode: (text: string, ids: number[]) => void;

  /** @param encode adds the ids of a text to a list; must depend on the text alone */
  constructor(encode: (text: string, ids: number[]) => void) {
    this.#encode = encode;
  }

  encode(text: string, ids: number[]): void {
    if (text.length > LONGEST) {
      this.#encode(text, ids);
      return;
    }
    let word = this.#words.get(text);
    if (!word) {
      const fresh: number[] = [];
      this.#encode(text, fresh);
      if (this.#words.size >= MOST_WORDS) this.#words.clear();
      this.#words.set(text, fresh);
      word = fresh;
    }
    for (const id of word) ids.push(id);
  }
}
