/**
 * The roles of a sequence's tokens: whether each counts as the prompt's or as generated. Calls of a session differ in P, and
 * a token keeps the role that it had when it was computed, so a sequence has several values of P one after another.
 */
export class Roles {
  /** P holds for positions from `from` on, up to the next; ascending. */
  #parts: { readonly from: number; readonly promptLength: number }[] = [];
  #promptEnd: number | undefined;

  /** Tokens of the last call's prompt, unless that call said P. */
  get promptEnd(): number | undefined {
    return this.#promptEnd;
  }

  /** P for the token at a position; 0 if not given. */
  promptLengthAt(position: number): number {
    return this.#parts.findLast(({ from }) => from <= position)?.promptLength ?? 0;
  }

  /** P for positions from `from` on; those before keep theirs. */
  begin(from: number, promptLength: number): void {
    while ((this.#parts.at(-1)?.from ?? -1) >= from) this.#parts.pop();
    this.#parts.push({ from, promptLength });
  }

  /** A prompt of a number of tokens: those before `from` keep their roles, the others are prompt. */
  extend(from: number, promptTokens: number): void {
    this.begin(from, promptTokens);
    this.#promptEnd = promptTokens;
  }

  /** A prompt of a number of tokens, with one P for all positions: the caller's, or all of them. */
  reset(said: number | undefined, promptTokens: number): void {
    this.begin(0, said ?? promptTokens);
    this.#promptEnd = said === undefined ? promptTokens : undefined;
  }
}

/** How many items two lists begin with alike. */
export function commonLength(a: readonly number[], b: readonly number[]): number {
  let length = 0;
  while (length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
