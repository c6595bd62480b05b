/** Continuations of prompts by a plain and an edited model, in one batch and with the same seeds. */
import { SluiceError } from "../errors.ts";
import type { Model } from "../model/model.ts";
import type { PromptInput } from "../model/request.ts";
import { labelOf, type Shard, type ShardKind } from "../shards/shards.ts";

/** The continuation of one model. */
export interface ScoredText {
  /** New ids, including the one that stopped it. */
  readonly tokens: readonly number[];
  /** Null without a tokenizer. */
  readonly text: string | null;
  /** The scorer's result. */
  readonly score: number;
}

/** The continuations of a prompt by both models. */
export interface ContinuationPair {
  /** Index into the prompts. */
  readonly prompt: number;
  /** The seed of both draws; null if nothing was drawn. */
  readonly seed: number | null;
  /** The continuation of the model without interventions. */
  readonly plain: ScoredText;
  /** The continuation of the model with them. */
  readonly edited: ScoredText;
}

/** Scores a continuation: higher means more of what is sought. */
export type Scorer = (continuation: Pick<ScoredText, "tokens" | "text">) => number | Promise<number>;

/** Which continuations are drawn. */
export interface Draws {
  readonly prompts: readonly PromptInput[];
  /** Continuations per prompt. */
  readonly continuations: number;
  readonly newTokens: number;
  readonly temperature: number;
  readonly seed: number;
}

type Said = Pick<ScoredText, "tokens" | "text">;

/** A pair that nobody has judged. */
interface SaidPair extends Omit<ContinuationPair, "plain" | "edited"> {
  readonly plain: Said;
  readonly edited: Said;
}

/** Draws, and the sequences that they run through: kernels may depend on these. */
interface ContinuationInput extends Pick<Draws, "newTokens" | "temperature"> {
  readonly draws: readonly { readonly prompt: number; readonly tokens: readonly number[]; readonly seed: number }[];
  readonly pairs: number;
  readonly context: number;
}

/** Pairs continued at a time, and in a shard. */
const MOST_PAIRS = 16;
const SHARD_PAIRS = 64;

/** Continuations by a model with its interventions and without them. */
export const continued: ShardKind<ContinuationInput, readonly SaidPair[]> = {
  name: "continue",
  amount: ({ draws }) => draws.length,
  async run(model, { draws, pairs, context, newTokens, temperature }, { signal, onProgress }) {
    const session = await model.session({ sequences: 2 * pairs, context, live: false, ...(signal && { signal }) });
    const said: SaidPair[] = [];
    try {
      for (const { id } of model.stages) {
        for (let i = 0; i < pairs; i++) session.set(id, { strength: 0 }, { sequence: 2 * i });
      }
      for (let first = 0; first < draws.length; first += pairs) {
        const some = draws.slice(first, first + pairs);
        const results = await session.generateBatch(
          some.flatMap(({ tokens }) => [tokens, tokens]),
          {
            maxNewTokens: newTokens,
            temperature,
            seeds: some.flatMap(({ seed }) => [seed, seed]),
            ...(signal && { signal }),
          },
        );
        for (const [i, { prompt, seed }] of some.entries()) {
          const [plain, edited] = [results[2 * i], results[2 * i + 1]].map((result) => {
            return { tokens: result?.tokens ?? [], text: result?.text ?? null };
          }) as [Said, Said];
          said.push({ prompt, seed: temperature > 0 ? seed : null, plain, edited });
        }
        onProgress?.(said.length);
      }
    } finally {
      session.dispose();
    }
    return said;
  },
};

/** All draws in shards, in the order of prompts and seeds. */
export function continuationShards(
  model: Model,
  { prompts, continuations, newTokens, temperature, seed }: Draws,
): readonly Shard<ContinuationInput>[] {
  const encoded = prompts.map((prompt) => model.encode(prompt));
  const longest = encoded.reduce((most, { length }) => Math.max(most, length), 0);
  const context = Math.min(longest + newTokens - 1, model.config.max_position_embeddings);
  const draws = Array.from({ length: prompts.length * continuations }, (_, i) => {
    const prompt = Math.floor(i / continuations);
    return { prompt, tokens: encoded[prompt] as readonly number[], seed: seed + i };
  });
  const pairs = Math.min(MOST_PAIRS, draws.length);
  return Array.from({ length: Math.ceil(draws.length / SHARD_PAIRS) }, (_, i) => {
    const some = draws.slice(i * SHARD_PAIRS, (i + 1) * SHARD_PAIRS);
    const label = labelOf("continuation", "continuations", i * SHARD_PAIRS, some.length);
    return { label, model, input: { draws: some, pairs, context, newTokens, temperature } };
  });
}

/** The pair with its scores. @throws SluiceError `usage` for a score that is not a finite number; errors of the scorer */
export async function scored(pair: SaidPair, scorer: Scorer): Promise<ContinuationPair> {
  const { plain, edited } = pair;
  return {
    ...pair,
    plain: { ...plain, score: await scoreOf(scorer, plain) },
    edited: { ...edited, score: await scoreOf(scorer, edited) },
  };
}

/** A score. @throws SluiceError `usage` if it is not a finite number; errors of the scorer */
export async function scoreOf(scorer: Scorer, continuation: Pick<ScoredText, "tokens" | "text">): Promise<number> {
  const score: unknown = await scorer(continuation);
  if (typeof score === "number" && Number.isFinite(score)) return score;
  const said = continuation.text === null ? continuation.tokens.join(" ") : JSON.stringify(continuation.text);
  throw new SluiceError("usage", `The scorer gave ${String(score)} for ${said}; a score is a finite number`);
}
