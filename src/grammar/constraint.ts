/** Which tokens a sequence may take next, so that its text fits a grammar. */
import { SluiceError } from "../errors.ts";
import type { Automaton, State } from "./automaton.ts";
import { checkMask, type TokenIndex } from "./token-index.ts";

/** A grammar over a vocabulary, shared by the sequences that follow it. */
export class TokenGrammar {
  readonly automaton: Automaton;
  readonly tokens: TokenIndex;
  readonly #stopTokens: readonly number[];
  readonly #masks = new WeakMap<State, Uint32Array<ArrayBuffer>>();
  readonly #bytesOf: (id: number) => Uint8Array | undefined;

  /** @param stopTokens may come where the text may end */
  constructor(
    automaton: Automaton,
    tokens: TokenIndex,
    bytesOf: (id: number) => Uint8Array | undefined,
    stopTokens: readonly number[],
  ) {
    this.automaton = automaton;
    this.tokens = tokens;
    this.#bytesOf = bytesOf;
    this.#stopTokens = stopTokens;
  }

  /** A text that begins. */
  begin(): Constraint {
    return new Constraint(this);
  }

  /** A bit per token that may come next. */
  maskOf(state: State): Uint32Array<ArrayBuffer> {
    let mask = this.#masks.get(state);
    if (!mask) {
      mask = this.tokens.allowed(this.automaton, state);
      for (const id of state.accepts ? this.#stopTokens : [])
        mask[id >>> 5] = (mask[id >>> 5] as number) | (1 << (id & 31));
      this.#masks.set(state, mask);
    }
    return mask;
  }

  /** The state after a token; null if the text cannot go on with it. */
  follow(from: State, token: number): State | null {
    let state: State | null = from;
    for (const byte of this.#bytesOf(token) ?? []) {
      if (!state) return null;
      state = this.automaton.follow(state, byte);
    }
    return state;
  }
}

/** The text of one sequence so far. */
export class Constraint {
  readonly #grammar: TokenGrammar;
  #state: State;

  constructor(grammar: TokenGrammar) {
    this.#grammar = grammar;
    this.#state = grammar.automaton.start;
  }

  /** Whether the text is complete and cannot go on. */
  get isDone(): boolean {
    return this.#state.isEnd;
  }

  /** Whether the text could end here. */
  get isComplete(): boolean {
    return this.#state.accepts;
  }

  /** A bit per token that may come next. @throws SluiceError `usage` if none may */
  mask(): Uint32Array<ArrayBuffer> {
    const mask = this.#grammar.maskOf(this.#state);
    checkMask(mask);
    return mask;
  }

  /** Takes the token that came. */
  accept(token: number): void {
    const next = this.#grammar.follow(this.#state, token);
    if (!next) throw new SluiceError("gpu", `Token ${token} was drawn although its bit was not set`);
    this.#state = next;
  }
}
