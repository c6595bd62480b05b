/** Continuations of prompts by a plain and an edited model, in one batch and with the same seeds. */
import { SluiceError } from "../errors.ts";
import type { PromptInput } from "../model/request.ts";
import type { Session } from "../model/session.ts";

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

export interface ContinuationOptions {
  readonly prompts: readonly PromptInput[];
  /** Continuations per prompt. */
  readonly continuations: number;
  readonly newTokens: number;
  readonly temperature: number;
  readonly seed: number;
  readonly scorer: Scorer;
  readonly signal: AbortSignal | undefined;
  /** Called with the number of finished pairs. */
  readonly onProgress: (done: number) => void;
}

/** Pairs continued at a time. */
export const MOST_PAIRS = 16;

/**
 * @param session of an even number of sequences, 2i plain (strengths 0) and 2i + 1 edited
 * @throws SluiceError `usage` for a score that is not a finite number, and errors of generating and of the scorer
 */
export async function continuePairs(
  session: Session,
  options: ContinuationOptions,
): Promise<readonly ContinuationPair[]> {
  const { prompts, continuations, newTokens, temperature, scorer, signal } = options;
  const jobs = Array.from({ length: prompts.length * continuations }, (_, i) => ({
    prompt: Math.floor(i / continuations),
    seed: options.seed + i,
  }));
  const pairs: ContinuationPair[] = [];
  for (let first = 0; first < jobs.length; first += session.sequences >> 1) {
    const some = jobs.slice(first, first + (session.sequences >> 1));
    const results = await session.generateBatch(
      some.flatMap(({ prompt }) => [prompts[prompt] as PromptInput, prompts[prompt] as PromptInput]),
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
      }) as [Pick<ScoredText, "tokens" | "text">, Pick<ScoredText, "tokens" | "text">];
      pairs.push({
        prompt,
        seed: temperature > 0 ? seed : null,
        plain: { ...plain, score: await scoreOf(scorer, plain) },
        edited: { ...edited, score: await scoreOf(scorer, edited) },
      });
    }
    options.onProgress(pairs.length);
  }
  return pairs;
}

async function scoreOf(scorer: Scorer, continuation: Pick<ScoredText, "tokens" | "text">): Promise<number> {
  const score: unknown = await scorer(continuation);
  if (typeof score === "number" && Number.isFinite(score)) return score;
  const said = continuation.text === null ? continuation.tokens.join(" ") : JSON.stringify(continuation.text);
  throw new SluiceError("usage", `The scorer gave ${String(score)} for ${said}; a score is a finite number`);
}
