/** How likely a model finds the tokens of a given text. */
import { logSumExp } from "../numbers/distributions.ts";
import { indicesOfLargest } from "../numbers/largest.ts";
import { logitRows } from "../runtime/logit-rows.ts";
import { notFinite } from "../runtime/not-finite.ts";
import type { Sequences } from "../runtime/sequences.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import { type TokenLogprobs, tokenLogprobs } from "./token-logprobs.ts";

export interface ScoreOptions {
  readonly tokenizer: Tokenizer | null;
  /** How many of the likeliest tokens in each place are listed. */
  readonly topLogprobs: number;
  readonly signal: AbortSignal;
}

/**
 * Log probabilities of all tokens of a prompt but the first, which nothing predicts.
 * @param sequences the first of them is used, in place of what it holds
 * @throws SluiceError `bad_tokens`, `context_overflow`, `non_finite`, `aborted`
 */
export async function scorePrompt(
  sequences: Sequences,
  tokens: readonly number[],
  { tokenizer, topLogprobs, signal }: ScoreOptions,
): Promise<readonly TokenLogprobs[]> {
  sequences.check([{ tokens }]);
  const scores: TokenLogprobs[] = [];
  if (tokens.length < 2) return scores;
  sequences.truncate(0, 0);
  sequences.beginPrompt(0, tokens.length);
  const feed = { sequence: 0, tokens, outs: "predicting" as const };
  for await (const { position, row } of logitRows(sequences, [feed], signal)) {
    const token = tokens[position + 1] as number;
    const total = logSumExp(row);
    if (!Number.isFinite(total)) throw await notFinite(sequences, 0, `The logits at position ${position}`);
    const logprobOf = (id: number): number => (row[id] as number) - total;
    const top = indicesOfLargest(row, topLogprobs).map((id) => ({ token: id, logprob: logprobOf(id) }));
    scores.push(tokenLogprobs(tokenizer, token, { logprob: logprobOf(token), top }));
  }
  return scores;
}
