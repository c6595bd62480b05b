/** Finds stop strings in text that arrives in pieces. */
import { SluiceError } from "../errors.ts";

/**
 * Watches for several strings at once. The first string to be complete wins (of two complete at the same
 * character, the longer), so the result does not depend on where the pieces are cut. Each string is followed
 * by the Knuth-Morris-Pratt automaton: a step per character and string, whatever was held back.
 */
export class StopStrings {
  readonly #stops: readonly Automaton[];
  /** Text that may turn out to be the beginning of a stop string. */
  #held = "";
  #matched: string | null = null;

  /** @throws SluiceError `usage` for an empty stop string, which would match everywhere */
  constructor(stops: readonly string[]) {
    if (stops.includes("")) {
      throw new SluiceError("usage", "A stop string is empty", { hint: "Give at least one character." });
    }
    this.#stops = stops.map((stop) => new Automaton(stop));
  }

  /** The stop string that was found, or null. */
  get matched(): string | null {
    return this.#matched;
  }

  /** Takes a piece; returns what can be shown now. After a match nothing more is. */
  push(piece: string): string {
    if (this.#matched !== null) return "";
    this.#held += piece;
    const start = this.#held.length - piece.length;
    for (let i = start; i < this.#held.length; i++) {
      const stop = this.#step(this.#held.charCodeAt(i));
      if (!stop) continue;
      this.#matched = stop;
      return this.#release(i + 1 - stop.length);
    }
    const longest = this.#stops.reduce((most, stop) => Math.max(most, stop.state), 0);
    return this.#release(this.#held.length - longest);
  }

  /** The text ended: what was held back is no stop string after all. Empty after a match. */
  end(): string {
    return this.#matched === null ? this.#release(this.#held.length) : "";
  }

  #step(code: number): string | null {
    let found: string | null = null;
    for (const stop of this.#stops) {
      if (stop.step(code) && stop.text.length > (found?.length ?? 0)) found = stop.text;
    }
    return found;
  }

  #release(length: number): string {
    const text = this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    return text;
  }
}

/** Follows one string; `state` is how many of its characters the text now ends with. */
class Automaton {
  readonly text: string;
  state = 0;
  readonly #failure: readonly number[];

  constructor(text: string) {
    this.text = text;
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
