/** Compares a model with and without interventions: their continuations, and the distance of their predictions. */

import { compareDefaults } from "../defaults.ts";
import { checkWhole, SluiceError } from "../errors.ts";
import { divergence } from "../numbers/distributions.ts";
import type { FinishReason } from "../runtime/decode.ts";
import type { Sequences } from "../runtime/sequences.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { GenerateResult, GenerationRequest } from "./generation.ts";
import type { CompareOptions } from "./options.ts";
import { PLAIN, predictPair } from "./paired-predictions.ts";
import type { PromptInput } from "./request.ts";
import type { Session } from "./session.ts";

/** A token whose probability after the prompt changed with the interventions. */
export interface MovedToken {
  /** Token id. */
  readonly token: number;
  /** Null without a tokenizer. */
  readonly text: string | null;
  /** Probability in the plain model. */
  readonly plain: number;
  /** Probability in the edited model. */
  readonly edited: number;
}

/** The continuation of one model. */
export interface Continuation {
  /** New ids, including the one that stopped it. */
  readonly tokens: readonly number[];
  /** Their text, without stop id or stop text; null without a tokenizer. */
  readonly text: string | null;
  /** The reason why it ended. */
  readonly finish: FinishReason;
}

/** KL(plain ‖ edited) of next-token distributions, in nats. */
export interface Divergence {
  /** At the prompt's last token. */
  readonly last: number;
  /** The mean over `positions`. */
  readonly mean: number;
  /** At each token of the prompt. */
  readonly positions: readonly number[];
}

/** The continuations of a prompt by the plain and the edited model, and the distance of their predictions. */
export interface Comparison {
  /** The prompt's ids. */
  readonly prompt_tokens: readonly number[];
  /** With the strength of every stage at 0. */
  readonly plain: Continuation;
  /** With the interventions in force. */
  readonly edited: Continuation;
  /** Number of new tokens that both have in common at the start. */
  readonly common_tokens: number;
  /** KL(plain ‖ edited) on the prompt, in nats. */
  readonly kl_nats: Divergence;
  /** The tokens that moved most, by the size of the change; empty if none moved. */
  readonly moved: readonly MovedToken[];
  /** The seed of both draws; null if nothing was drawn. */
  readonly seed: number | null;
}

export function nothingToCompare(): SluiceError {
  return new SluiceError("usage", "This model has no interventions to compare with", {
    hint: "Make one that has them: model.with(bundles).",
  });
}

/**
 * Runs a prompt in two sequences of one batch, the first with every strength at 0. The prompt is computed once: its
 * predictions are compared while the cache fills, and both continuations start from that cache.
 * @param sequences two empty sequences of a model with interventions
 * @param session over these sequences
 * @param request for the prompt alone
 * @throws SluiceError `non_finite`, and errors of generating
 */
export async function comparePair(
  sequences: Sequences,
  session: Session,
  prompt: PromptInput,
  request: GenerationRequest,
  options: CompareOptions,
): Promise<Comparison> {
  const { most = compareDefaults.most, ...generation } = options;
  checkWhole("most", most, 0);
  for (const id of sequences.stages?.ids ?? []) session.set(id, { strength: 0 }, { sequence: PLAIN });
  const { tokens } = request.prompts[0] as GenerationRequest["prompts"][number];
  const { positions, plain, edited } = await scorePrompt(sequences, tokens, request);
  const { seed } = request.sampling;
  const results = await session.generateBatch([prompt, prompt], { ...generation, seed, seeds: [seed, seed] });
  const [first, second] = results as readonly [GenerateResult, GenerateResult];
  const parted = first.tokens.findIndex((token, i) => token !== second.tokens[i]);
  return {
    prompt_tokens: tokens,
    plain: continuationOf(first),
    edited: continuationOf(second),
    common_tokens: parted < 0 ? first.tokens.length : parted,
    kl_nats: {
      last: positions.at(-1) as number,
      mean: positions.reduce((sum, value) => sum + value, 0) / positions.length,
      positions,
    },
    moved: movedMost(plain, edited, most, request.tokenizer),
    seed: first.seed,
  };
}

interface Scores {
  /** KL(plain ‖ edited) at each token. */
  readonly positions: readonly number[];
  /** Logarithms of the probabilities after the last token. */
  readonly plain: Float64Array;
  readonly edited: Float64Array;
}

async function scorePrompt(
  sequences: Sequences,
  tokens: readonly number[],
  request: GenerationRequest,
): Promise<Scores> {
  const positions: number[] = [];
  let last: Omit<Scores, "positions"> | undefined;
  for await (const { plain, edited } of predictPair(sequences, tokens, request)) {
    positions.push(divergence(plain, edited, 0, 0));
    last = { plain, edited };
  }
  return { positions, ...(last as Omit<Scores, "positions">) };
}

function continuationOf({ tokens, text, finish }: GenerateResult): Continuation {
  return { tokens, text, finish };
}

function movedMost(
  plain: Float64Array,
  edited: Float64Array,
  most: number,
  tokenizer: Tokenizer | null,
): readonly MovedToken[] {
  const changes = plain.map((value, token) => Math.exp(edited[token] as number) - Math.exp(value));
  return Array.from(changes.keys())
    .filter((token) => changes[token] !== 0)
    .sort((a, b) => Math.abs(changes[b] as number) - Math.abs(changes[a] as number))
    .slice(0, most)
    .map((token) => ({
      token,
      text: tokenizer?.decode([token]) ?? null,
      plain: Math.exp(plain[token] as number),
      edited: Math.exp(edited[token] as number),
    }));
}
