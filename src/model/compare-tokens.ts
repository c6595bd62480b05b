/** Compares how a model with and without interventions predicts a given text, token by token. */
import { compareTokensDefaults } from "../defaults.ts";
import { divergence } from "../numbers/distributions.ts";
import type { Sequences } from "../runtime/sequences.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { CompareTokensOptions } from "./options.ts";
import { EDITED, PLAIN, predictPair } from "./paired-predictions.ts";
import { likeliest, oddsOf, type TokenOdds, type TokenProbability, textAfter } from "./token-odds.ts";

/** How a model predicted a token. */
export interface TokenPrediction extends TokenOdds {
  /** The likeliest tokens in its place. */
  readonly top: readonly TokenProbability[];
}

/** A token of a text, as both models predicted it. */
export interface ComparedToken {
  /** Token id. */
  readonly token: number;
  /** Its text in its place; null without a tokenizer. */
  readonly text: string | null;
  /** Of the plain model; null for the first token, which nothing predicts. */
  readonly plain: TokenPrediction | null;
  /** Of the edited model. */
  readonly edited: TokenPrediction | null;
  /** KL(plain ‖ edited) of these predictions, in nats. */
  readonly kl_nats: number | null;
}

/** A text as the plain and the edited model predict it. */
export interface TokenComparison {
  /** The text's tokens, in order. */
  readonly tokens: readonly ComparedToken[];
  /** What both predict after the last token. */
  readonly next: {
    /** The likeliest tokens of the plain model. */
    readonly plain: readonly TokenProbability[];
    /** The likeliest tokens of the edited model. */
    readonly edited: readonly TokenProbability[];
    /** KL(plain ‖ edited), in nats. */
    readonly kl_nats: number;
  };
  /** exp of the mean negative log-likelihood of all tokens but the first; null if there is only one. */
  readonly perplexity: {
    /** Of the plain model. */
    readonly plain: number | null;
    /** Of the edited model. */
    readonly edited: number | null;
  };
  /** Mean KL(plain ‖ edited) after each token, the last one too, in nats: that of `model.compare`. */
  readonly kl_nats: number;
}

/**
 * Runs a text in two sequences of one batch, the first with every strength at 0.
 * @param sequences two empty sequences of a model with interventions
 * @throws SluiceError `non_finite`, `aborted`; `usage` for changes of a stage that does not exist
 */
export async function comparePredictions(
  sequences: Sequences,
  ids: readonly number[],
  tokenizer: Tokenizer | null,
  { top = compareTokensDefaults.top, changes = new Map(), promptLength, signal }: ReadOptions,
): Promise<TokenComparison> {
  const { stages } = sequences;
  for (const [id, change] of changes) stages?.set(id, change, EDITED);
  for (const id of stages?.ids ?? []) stages?.set(id, { strength: 0 }, PLAIN);
  const tokens: ComparedToken[] = [];
  const first = ids[0] as number;
  tokens.push({ token: first, text: textAfter(tokenizer, undefined, first), plain: null, edited: null, kl_nats: null });
  let next: TokenComparison["next"] | undefined;
  const sums = { plain: 0, edited: 0, divergence: 0 };
  for await (const { position, plain, edited } of predictPair(sequences, ids, { promptLength, signal })) {
    const previous = ids[position] as number;
    const token = ids[position + 1];
    const kl_nats = divergence(plain, edited, 0, 0);
    sums.divergence += kl_nats;
    const topOf = (predictions: Float64Array) => likeliest(predictions, top, tokenizer, previous);
    if (token === undefined) {
      next = { plain: topOf(plain), edited: topOf(edited), kl_nats };
      continue;
    }
    sums.plain += plain[token] as number;
    sums.edited += edited[token] as number;
    tokens.push({
      token,
      text: textAfter(tokenizer, previous, token),
      plain: { ...oddsOf(plain, token), top: topOf(plain) },
      edited: { ...oddsOf(edited, token), top: topOf(edited) },
      kl_nats,
    });
  }
  const predicted = ids.length - 1;
  const perplexityOf = (sum: number): number | null => (predicted > 0 ? Math.exp(-sum / predicted) : null);
  return {
    tokens,
    next: next as TokenComparison["next"],
    perplexity: { plain: perplexityOf(sums.plain), edited: perplexityOf(sums.edited) },
    kl_nats: sums.divergence / ids.length,
  };
}

/** Options whose table of changes has been read. */
type ReadOptions = Omit<CompareTokensOptions, "changes"> & {
  readonly changes?: ReadonlyMap<string, Parameters<NonNullable<Sequences["stages"]>["set"]>[1]>;
};
