/** Ids of a text that may be far too long for whoever asks, in a time that does not grow with it. */
import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";

/** Characters that are encoded at once in any case, which takes milliseconds. */
const FREE_CHARACTERS = 16 << 10;

/** Characters of the first beginning, per token that may be: few languages have more. */
const CHARACTERS_PER_TOKEN = 6;

/** Tokens in a beginning that prove the text too long. Where it is cut, a few may be others than in the whole. */
const proofOf = (most: number): number => 1.25 * most + 128;

/**
 * The ids of a text, or undefined if there are many more than `most`.
 *
 * How many a text has does not follow from its length: normalisers drop characters, and a word that the vocabulary lacks
 * may be one token however long it is. So beginnings are encoded, each twice as long as the one before, until one has too
 * many or the text is at its end. That takes time by the tokens that may be, not by the text.
 */
export function encodeWithin(
  tokenizer: Pick<Tokenizer, "encode">,
  text: string,
  most: number,
  options: EncodeOptions = {},
): number[] | undefined {
  const { addSpecialTokens = true } = options;
  let length = Math.max(FREE_CHARACTERS, most * CHARACTERS_PER_TOKEN);
  for (; length < text.length; length *= 2) {
    if (tokenizer.encode(text.slice(0, length), { addSpecialTokens }).length > proofOf(most)) return undefined;
  }
  return tokenizer.encode(text, options);
}
