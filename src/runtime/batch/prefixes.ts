/** Which sequence a new request gets, and what is cached of its prompt already. */
import { commonLength } from "../roles.ts";
import type { Sequences } from "../sequences.ts";

/** A sequence for a prompt, which holds the prompt's first tokens and nothing else. */
export interface Taken {
  readonly sequence: number;
  readonly reused: number;
}

/**
 * Sequences without a request keep what they hold until they are needed. A prompt forks the longest beginning that any
 * sequence holds, running or not; it gets a sequence of which nothing is lost if there is one, else the one that has been
 * idle for longest.
 */
export class Prefixes {
  readonly #sequences: Sequences;
  /** Sequences without a request, those that ended first in front. */
  readonly #idle: number[];

  constructor(sequences: Sequences) {
    this.#sequences = sequences;
    this.#idle = Array.from({ length: sequences.plan.sequences }, (_, sequence) => sequence);
  }

  get idle(): readonly number[] {
    return this.#idle;
  }

  /**
   * Takes an idle sequence for a prompt. There must be one.
   * @param usable how many of the tokens that a sequence holds may serve, of a number that the two have in common
   */
  take(tokens: readonly number[], usable: (sequence: number, common: number) => number): Taken {
    const sequences = this.#sequences;
    const held = Array.from({ length: sequences.plan.sequences }, (_, sequence) => sequences.held(sequence));
    // The last token is run in any case: its logits are wanted.
    const shared = held.map((known, sequence) =>
      usable(sequence, Math.min(commonLength(known, tokens), tokens.length - 1)),
    );
    const best = shared.reduce((most, length, sequence) => (length > (shared[most] as number) ? sequence : most), 0);
    const reused = shared[best] as number;
    const sequence = this.#pick((each) => shared[each] === reused && held[each]?.length === reused, held, best);
    this.#idle.splice(this.#idle.indexOf(sequence), 1);
    if (shared[sequence] === reused) sequences.truncate(sequence, reused);
    else sequences.fork(best, sequence, reused);
    return { sequence, reused };
  }

  /** A request's sequence is free. */
  giveBack(sequence: number): void {
    this.#idle.push(sequence);
  }

  #pick(isContinued: (sequence: number) => boolean, held: readonly (readonly number[])[], best: number): number {
    const candidates = [
      this.#idle.find(isContinued),
      this.#idle.find((sequence) => held[sequence]?.length === 0),
      this.#idle.find((sequence) => sequence !== best),
      this.#idle[0],
    ];
    const found = candidates.find((sequence) => sequence !== undefined);
    if (found === undefined) throw new Error("No sequence is idle");
    return found;
  }
}
