/** Finds stop strings in text that arrives in pieces. */
import { SluiceError } from "../errors.ts";

/**
 * Watches for several strings at once. The first string to be complete wins (of two complete at the same
 * character, the longer), so the result does not depend on where the pieces are cut. Each string is followed
 * by the Knuth-Morris-Pratt automaton: one step per character and string.
 */
export class StopStrings {
  readonly #stops: readonly Automaton[];
  /** Text that may be the beginning of a stop string, including hidden characters. */
  #held = "";
  /** Spans of the held text that are never shown: [begin, end), in order. */
  #hidden: (readonly [number, number])[] = [];
  #matched: string | null = null;

  /**
   * @param specials texts of special tokens: a stop string that contains one is also found at the token itself,
   *   which has no visible text
   * @throws SluiceError `usage` for an empty stop string, which would match everywhere
   */
  constructor(stops: readonly string[], specials: Iterable<string> = []) {
    if (stops.includes("")) {
      throw new SluiceError("usage", "A stop string is empty", { hint: "Give at least one character." });
    }
    const hidden = stops.length > 0 ? [...specials].filter((text) => text !== "") : [];
    this.#stops = stops.map(
      (stop) =>
        new Automaton(
          stop,
          hidden.some((text) => stop.includes(text)),
        ),
    );
  }

  /** The stop string found, or null. */
  get matched(): string | null {
    return this.#matched;
  }

  /** Takes a piece; returns what can be shown now. After a match nothing more is. */
  push(piece: string): string {
    return this.#push(piece, false);
  }

  /** Takes the text of a special token, which is not shown; returns what can be shown now of the text before it. */
  pushHidden(piece: string): string {
    // Stop strings without special tokens do not see them, as they are not in the text.
    if (piece === "" || !this.#stops.some((stop) => stop.seesHidden)) return "";
    this.#hidden.push([this.#held.length, this.#held.length + piece.length]);
    return this.#push(piece, true);
  }

  #push(piece: string, hidden: boolean): string {
    if (this.#matched !== null) return "";
    this.#held += piece;
    const start = this.#held.length - piece.length;
    for (let i = start; i < this.#held.length; i++) {
      const stop = this.#step(this.#held.charCodeAt(i), hidden);
      if (!stop) continue;
      this.#matched = stop.text;
      return this.#release(this.#beginning(stop, i + 1));
    }
    return this.#release(
      Math.min(...this.#stops.map((stop) => this.#beginning(stop, this.#held.length)), this.#held.length),
    );
  }

  /** The text ended: returns the held text, which is not a stop string. Empty after a match. */
  end(): string {
    return this.#matched === null ? this.#release(this.#held.length) : "";
  }

  #step(code: number, hidden: boolean): Automaton | null {
    let found: Automaton | null = null;
    for (const stop of this.#stops) {
      if (hidden && !stop.seesHidden) continue;
      if (stop.step(code) && stop.text.length > (found?.text.length ?? 0)) found = stop;
    }
    return found;
  }

  /** The begin, in the held text, of the characters that a stop string has matched up to a position. */
  #beginning(stop: Automaton, end: number): number {
    if (stop.seesHidden) return end - stop.state;
    // The automaton did not see hidden characters.
    let begin = end;
    for (let left = stop.state; left > 0; begin--) if (!this.#isHidden(begin - 1)) left--;
    return begin;
  }

  #isHidden(at: number): boolean {
    return this.#hidden.some(([begin, end]) => begin <= at && at < end);
  }

  /** Releases the first characters; returns the visible ones. */
  #release(length: number): string {
    let text = "";
    let at = 0;
    for (const [begin, end] of this.#hidden) {
      if (begin >= length) break;
      text += this.#held.slice(at, begin);
      at = Math.min(end, length);
    }
    text += this.#held.slice(at, length);
    this.#held = this.#held.slice(length);
    this.#hidden = this.#hidden
      .filter(([, end]) => end > length)
      .map(([begin, end]) => [Math.max(0, begin - length), end - length]);
    return text;
  }
}

/** Follows one string; `state` is the number of its characters that the text now ends with. */
class Automaton {
  readonly text: string;
  state = 0;
  /** Whether special tokens count as their text. */
  readonly seesHidden: boolean;
  readonly #failure: readonly number[];

  constructor(text: string, seesHidden: boolean) {
    this.text = text;
    this.seesHidden = seesHidden;
    // failure[i]: length of the longest proper prefix of text[0..i] that is also its suffix.
    const failure = [0];
    for (let i = 1, length = 0; i < text.length; i++) {
      while (length > 0 && text[i] !== text[length]) length = failure[length - 1] as number;
      if (text[i] === text[length]) length++;
      failure.push(length);
    }
    this.#failure = failure;
  }

  /** True when the string is complete; it is not stepped again after that. */
  step(code: number): boolean {
    while (this.state > 0 && this.text.charCodeAt(this.state) !== code) {
      this.state = this.#failure[this.state - 1] as number;
    }
    if (this.text.charCodeAt(this.state) === code) this.state++;
    return this.state === this.text.length;
  }
}
