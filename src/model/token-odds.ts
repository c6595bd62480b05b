/** What a distribution says of tokens: probabilities, ranks, the likeliest ones. */
import { indicesOfLargest } from "../numbers/largest.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A token and its probability. */
export interface TokenProbability {
  /** Token id. */
  readonly token: number;
  /** Its text after the token before it; null without a tokenizer. */
  readonly text: string | null;
  /** From 0 to 1. */
  readonly probability: number;
}

/** How likely a token was. */
export interface TokenOdds {
  /** From 0 to 1. */
  readonly probability: number;
  /** 1 for the likeliest token of the vocabulary. */
  readonly rank: number;
}

/** @param logProbabilities of the whole vocabulary */
export function oddsOf(logProbabilities: Float64Array, token: number): TokenOdds {
  const own = logProbabilities[token] as number;
  let above = 0;
  for (const other of logProbabilities) if (other > own) above++;
  return { probability: Math.exp(own), rank: above + 1 };
}

/** The likeliest tokens, the first ones of equals first. @param previous the token before them, for their texts */
export function likeliest(
  logProbabilities: Float64Array,
  count: number,
  tokenizer: Tokenizer | null,
  previous: number,
): readonly TokenProbability[] {
  return indicesOfLargest(logProbabilities, count).map((token) => ({
    token,
    text: textAfter(tokenizer, previous, token),
    probability: Math.exp(logProbabilities[token] as number),
  }));
}

/**
 * The text of a token after another, with its leading space; special tokens too. U+FFFD where it is a part of a
 * character; null without a tokenizer.
 * @param previous undefined at the beginning of a text
 */
export function textAfter(tokenizer: Tokenizer | null, previous: number | undefined, token: number): string | null {
  if (!tokenizer) return null;
  const stream = tokenizer.stream({ skipSpecialTokens: false, ...(previous !== undefined && { context: [previous] }) });
  return stream.push(token) + stream.end();
}
