/** The tokens of a vocabulary as bytes, in the order of their bytes: which of them may come next is found in one pass. */
import { SluiceError } from "../errors.ts";
import type { Automaton, State } from "./automaton.ts";

export class TokenIndex {
  /** Words of a mask, a bit per token of the model's vocabulary. */
  readonly words: number;
  readonly #ids: Int32Array;
  readonly #bytes: readonly Uint8Array[];
  /** How many first bytes each shares with the one before it. */
  readonly #shared: Int32Array;

  /**
   * @param bytesOf a token's bytes in the middle of a text; undefined for those that are not text
   * @param vocabSize of the model
   */
  constructor(bytesOf: (id: number) => Uint8Array | undefined, vocabSize: number) {
    this.words = Math.ceil(vocabSize / 32);
    const tokens: { readonly id: number; readonly bytes: Uint8Array }[] = [];
    for (let id = 0; id < vocabSize; id++) {
      const bytes = bytesOf(id);
      if (bytes && bytes.length > 0) tokens.push({ id, bytes });
    }
    tokens.sort((a, b) => compareBytes(a.bytes, b.bytes));
    this.#ids = Int32Array.from(tokens, ({ id }) => id);
    this.#bytes = tokens.map(({ bytes }) => bytes);
    this.#shared = Int32Array.from(this.#bytes, (bytes, i) => sharedLength(this.#bytes[i - 1], bytes));
  }

  /** Sets the bits of the tokens that may come after a state. */
  allowed(automaton: Automaton, state: State): Uint32Array<ArrayBuffer> {
    const mask = new Uint32Array(this.words);
    const reached: State[] = [state];
    let depth = 0;
    for (let i = 0; i < this.#ids.length; i++) {
      const shared = this.#shared[i] as number;
      // It begins with the bytes that led nowhere before.
      if (shared > depth) continue;
      const bytes = this.#bytes[i] as Uint8Array;
      depth = shared;
      let at: State | null = reached[depth] as State;
      while (depth < bytes.length) {
        at = automaton.follow(at, bytes[depth] as number);
        if (!at) break;
        reached[++depth] = at;
      }
      if (!at) continue;
      const id = this.#ids[i] as number;
      mask[id >>> 5] = (mask[id >>> 5] as number) | (1 << (id & 31));
    }
    return mask;
  }
}

/** @throws SluiceError `usage` if no token can come next */
export function checkMask(mask: Uint32Array): void {
  if (mask.some((word) => word !== 0)) return;
  throw new SluiceError("usage", "The vocabulary has no token with which the constrained text could go on", {
    hint: "The tokenizer lacks characters that the JSON needs.",
  });
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return (a[i] as number) - (b[i] as number);
  return a.length - b.length;
}

function sharedLength(a: Uint8Array | undefined, b: Uint8Array): number {
  let length = 0;
  while (a && length < a.length && length < b.length && a[length] === b[length]) length++;
  return length;
}
