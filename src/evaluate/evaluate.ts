/**
 * The effects of interventions on a model: how much worse it predicts texts, and how its continuations change. Both
 * models are measured on the same texts, prompts and seeds, with intervals.
 */
import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { listOf, prompt, tokens } from "../arguments/lists.ts";
import { signal as abortSignal, callback, finite, whole } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import { temperature } from "../model/generate-arguments.ts";
import type { Model } from "../model/model.ts";
import { model as anyModel } from "../model/model-argument.ts";
import type { PromptInput } from "../model/request.ts";
import { inProcess, type ShardRunner, shardRunner } from "../shards/shards.ts";
import { bootstrap, type Estimate } from "./bootstrap.ts";
import { type ContinuationPair, continuationShards, continued, type Scorer, scored } from "./continuations.ts";
import { amountOf, predicted, predictionShards, type WindowSums, windowsIn } from "./predictions.ts";
import { hasPromptScope, withoutPromptScopes } from "./prompt-scopes.ts";

/** Options of {@link evaluate}: texts to predict, prompts to continue, or both. */
export interface EvaluateOptions {
  /** Texts as token ids, to be predicted; including BOS if wanted. */
  readonly documents?: readonly (readonly number[])[];
  /** Prompts to continue and judge. */
  readonly prompts?: readonly PromptInput[];
  /** Judges continuations; required with `prompts`. */
  readonly scorer?: Scorer;
  /** Scores above it count for `share`; without it there is no share. */
  readonly threshold?: number;
  /** Continuations per prompt; default 1. */
  readonly continuations?: number;
  /** Tokens per continuation; default 24. */
  readonly newTokens?: number;
  /** Default 1; at 0 there is one continuation per prompt. */
  readonly temperature?: number;
  /** Seed of the first continuation and of the intervals; further continuations count up. Default 0. */
  readonly seed?: number;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
  /** Does the work elsewhere, such as on other machines. The result is the same on one kind of device. */
  readonly runner?: ShardRunner;
  /** Called with tokens predicted or continuations written so far, and in all. */
  onProgress?(phase: "predicting" | "continuing", done: number, total: number): void;
}

export const evaluateDoor = entry(
  "evaluate",
  ["model", anyModel],
  optionsOf(
    fields<EvaluateOptions>()({
      documents: listOf(tokens),
      prompts: listOf(prompt),
      scorer: callback<Scorer>(),
      threshold: finite(),
      continuations: whole({ least: 1 }),
      newTokens: whole({ least: 1 }),
      temperature,
      seed: whole({ least: 0 }),
      signal: abortSignal,
      runner: shardRunner,
      onProgress: callback<NonNullable<EvaluateOptions["onProgress"]>>(),
    }),
  ),
);

/** Results on texts. Stages act at their positions, or at every token if these depend on a prompt's length. */
export interface PredictionReport {
  /** Number of texts predicted. */
  readonly texts: number;
  /** Predicted tokens: all but the first of each text. */
  readonly tokens: number;
  /** exp of the mean negative log-likelihood per predicted token. */
  readonly perplexity: {
    /** For the model without interventions. */
    readonly plain: Estimate;
    /** For the model with interventions. */
    readonly edited: Estimate;
    /** edited / plain */
    readonly ratio: Estimate;
  };
  /** KL(plain ‖ edited) per predicted token. */
  readonly kl_nats: Estimate;
  /** Share of predictions whose likeliest token stays the same. */
  readonly agreement: Estimate;
  /** Ids of stages whose positions depend on a prompt's length. Texts have no prompt, so these acted at every token. */
  readonly widened: readonly string[];
}

/** A number for both models, and edited − plain. */
export interface SideBySide {
  /** For the model without interventions. */
  readonly plain: Estimate;
  /** For the model with interventions. */
  readonly edited: Estimate;
  /** edited − plain, by pairs. */
  readonly difference: Estimate;
}

/** Results on continuations of prompts, judged by a scorer. */
export interface ContinuationReport {
  /** Mean score. */
  readonly mean: SideBySide;
  /** Share of scores above the threshold; null without one. */
  readonly share: SideBySide | null;
  /** Share of continuations that are the same, token by token. */
  readonly unchanged: Estimate;
  /** Every pair, in the order of prompts and seeds. */
  readonly pairs: readonly ContinuationPair[];
}

/** Effects and costs of interventions. */
export interface Evaluation {
  /** Null without documents. */
  readonly predictions: PredictionReport | null;
  /** Null without prompts. */
  readonly continuations: ContinuationReport | null;
}

/**
 * Compares a model with interventions with the same model without them. Intervals are 95 %, by resampling texts (of a text
 * longer than the context, its windows) or continuations, always together with their counterparts.
 * @param model made by `with`
 * @throws SluiceError `usage` for a model without interventions, nothing to measure or options out of range;
 *   `non_finite`; and errors of generating and of the scorer
 */
export async function evaluate(model: Model, options: EvaluateOptions): Promise<Evaluation> {
  const [, wanted] = evaluateDoor.read(model, options);
  const settled = settle(model, wanted);
  const { documents, prompts, scorer } = settled;
  return {
    predictions: documents ? await predict(model, documents, settled) : null,
    continuations: prompts && scorer ? await speak(model, prompts, scorer, settled) : null,
  };
}

type Settled = EvaluateOptions &
  Required<Pick<EvaluateOptions, "continuations" | "newTokens" | "temperature" | "seed" | "runner">>;

function settle(model: Model, options: EvaluateOptions): Settled {
  const { documents, prompts, scorer } = options;
  const settled = { continuations: 1, newTokens: 24, temperature: 1, seed: 0, runner: inProcess, ...options };
  if (model.stages.length === 0) {
    throw new SluiceError("usage", "This model has no interventions to evaluate", {
      hint: "Make one that has them: model.with(bundles).",
    });
  }
  if (!documents && !prompts) throw new SluiceError("usage", "There is nothing to evaluate on: no texts, no prompts");
  if (documents && !documents.some(({ length }) => length > 1)) {
    throw new SluiceError("usage", "There is no token to predict: every text is shorter than two tokens");
  }
  if (prompts && prompts.length === 0) throw new SluiceError("usage", "There is no prompt to continue");
  if (prompts && !scorer) throw new SluiceError("usage", "Continuations of prompts need a scorer to judge them");
  if (settled.temperature === 0 && settled.continuations > 1) {
    throw new SluiceError("usage", "At temperature 0 all continuations of a prompt are the same", {
      hint: "Use one continuation per prompt, or a temperature above 0.",
    });
  }
  return settled;
}

async function predict(
  model: Model,
  documents: readonly (readonly number[])[],
  { seed, signal, runner, onProgress }: Settled,
): Promise<PredictionReport> {
  const widened = model.stages.filter(hasPromptScope);
  const everywhere = withoutPromptScopes(model);
  const windows = windowsIn(documents, model.config);
  const total = amountOf(windows);
  const shards = predictionShards(everywhere, windows);
  const onDone = (done: number): void => onProgress?.("predicting", done, total);
  const sums: WindowSums[] = [];
  for await (const some of runner.run(predicted, shards, { signal, onProgress: onDone })) sums.push(...some);
  const mean = (name: "plain" | "edited" | "divergence" | "agreeing") => (units: ArrayLike<number>) => {
    let [value, tokens] = [0, 0];
    for (let i = 0; i < units.length; i++) {
      const window = sums[units[i] as number] as WindowSums;
      value += window[name];
      tokens += window.tokens;
    }
    return value / tokens;
  };
  const [plain, edited] = [mean("plain"), mean("edited")];
  const estimates = bootstrap(
    sums.length,
    {
      plain: (units) => Math.exp(plain(units)),
      edited: (units) => Math.exp(edited(units)),
      ratio: (units) => Math.exp(edited(units) - plain(units)),
      divergence: mean("divergence"),
      agreement: mean("agreeing"),
    },
    seed,
  );
  return {
    texts: documents.filter(({ length }) => length > 1).length,
    tokens: total,
    perplexity: { plain: estimates.plain, edited: estimates.edited, ratio: estimates.ratio },
    kl_nats: estimates.divergence,
    agreement: estimates.agreement,
    widened: widened.map(({ id }) => id),
  };
}

async function speak(
  model: Model,
  prompts: readonly PromptInput[],
  scorer: Scorer,
  { continuations, newTokens, temperature, seed, threshold, signal, runner, onProgress }: Settled,
): Promise<ContinuationReport> {
  const total = prompts.length * continuations;
  const shards = continuationShards(model, { prompts, continuations, newTokens, temperature, seed });
  const onDone = (done: number): void => onProgress?.("continuing", done, total);
  const said: ContinuationPair[] = [];
  for await (const pairs of runner.run(continued, shards, { signal, onProgress: onDone })) {
    for (const pair of pairs) said.push(await scored(pair, scorer));
  }
  const same = ({ plain, edited }: ContinuationPair): boolean =>
    plain.tokens.length === edited.tokens.length && plain.tokens.every((token, i) => token === edited.tokens[i]);
  const share = threshold === undefined ? null : sides(said, (score) => (score > threshold ? 1 : 0), seed);
  const { unchanged } = bootstrap(said.length, { unchanged: meanOf(said.map((pair) => (same(pair) ? 1 : 0))) }, seed);
  return { mean: sides(said, (score) => score, seed), share, unchanged, pairs: said };
}

function sides(pairs: readonly ContinuationPair[], of: (score: number) => number, seed: number): SideBySide {
  const [plain, edited] = (["plain", "edited"] as const).map((side) =>
    meanOf(pairs.map((pair) => of(pair[side].score))),
  );
  if (!plain || !edited) throw new Error("A pair has two sides");
  return bootstrap(pairs.length, { plain, edited, difference: (units) => edited(units) - plain(units) }, seed);
}

function meanOf(values: readonly number[]): (units: ArrayLike<number>) => number {
  return (units) => {
    let sum = 0;
    for (let i = 0; i < units.length; i++) sum += values[units[i] as number] as number;
    return sum / units.length;
  };
}
