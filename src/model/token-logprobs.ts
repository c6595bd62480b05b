/** Log probabilities of tokens, as callers see them. */
import type { DrawnLogprobs } from "../runtime/sampler-state.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";

/** A token and the logarithm of its probability. */
export interface TokenLogprob {
  /** Its id. */
  readonly token: number;
  /** Its text in the middle of a text; U+FFFD for parts of characters, null without a tokenizer. */
  readonly text: string | null;
  /** Natural logarithm; of the model's own distribution, before penalties, biases and temperature. */
  readonly logprob: number;
}

/** A new token, with the most likely tokens in its place. */
export interface TokenLogprobs extends TokenLogprob {
  /** In falling order; as many as `topLogprobs` says, or the whole vocabulary. */
  readonly top: readonly TokenLogprob[];
}

export function tokenLogprobs(tokenizer: Tokenizer | null, token: number, drawn: DrawnLogprobs): TokenLogprobs {
  const named = (id: number, logprob: number): TokenLogprob => ({ token: id, text: tokenText(tokenizer, id), logprob });
  return { ...named(token, drawn.logprob), top: drawn.top.map((each) => named(each.token, each.logprob)) };
}

/** The text of a token in the middle of a text; special ones have theirs too. Null without a tokenizer. */
export function tokenText(tokenizer: Tokenizer | null, id: number): string | null {
  if (!tokenizer) return null;
  const bytes = tokenizer.tokenBytes?.(id);
  if (bytes) return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  return tokenizer.decode([id], { skipSpecialTokens: false });
}
