/** How a plain and an edited model predict the same texts, token by token. */
import type { Plan } from "../compile/plan.ts";
import type { Model } from "../model/model.ts";
import { groupsOf, type Window, windowsOf } from "../model/windows.ts";
import type { ModelConfig } from "../model-config.ts";
import { divergence, logSumExp } from "../numbers/distributions.ts";
import { logitRows } from "../runtime/logit-rows.ts";
import { notFinite } from "../runtime/not-finite.ts";
import type { Sequences } from "../runtime/sequences.ts";
import { labelOf, type Shard, type ShardKind } from "../shards/shards.ts";
import { openPairs } from "./prompt-scopes.ts";

/** Sums over those predictions of one window that count. */
export interface WindowSums {
  /** Predicted tokens. */
  readonly tokens: number;
  /** Negative log-likelihoods, in nats. */
  readonly plain: number;
  readonly edited: number;
  /** KL(plain ‖ edited) of the distributions, in nats. */
  readonly divergence: number;
  /** Predictions whose likeliest token is the same. */
  readonly agreeing: number;
}

/** Maximum number of windows packed into one step: enough to fill it with short texts. */
const MOST_WINDOWS = 8;
/** Steps' groups of a shard. */
const GROUPS = 8;

/** Texts, cut where they are longer than the model's context. */
export function windowsIn(
  documents: readonly (readonly number[])[],
  { max_position_embeddings }: Pick<ModelConfig, "max_position_embeddings">,
): readonly Window[] {
  const longest = documents.reduce((most, { length }) => Math.max(most, length), 0);
  const context = Math.min(longest, max_position_embeddings);
  return documents.flatMap((tokens) => windowsOf(tokens, context, Math.max(1, context >> 1)));
}

/** Predicted tokens. */
export function amountOf(windows: readonly Pick<Window, "counted">[]): number {
  return windows.reduce((sum, { counted }) => sum + counted, 0);
}

/** Windows, and the sequences that they run through: kernels may depend on these. */
export interface PredictionInput {
  readonly windows: readonly Window[];
  readonly pairs: number;
  readonly context: number;
}

/** How a model predicts windows with its interventions and without them. */
export const predicted: ShardKind<PredictionInput, readonly WindowSums[]> = {
  name: "predict",
  amount: ({ windows }) => amountOf(windows),
  async run(model, { windows, pairs, context }, { signal, onProgress }) {
    const sequences = await openPairs(model, pairs, context, signal);
    try {
      return await comparePredictions(sequences, windows, signal, (done) => onProgress?.(done));
    } finally {
      sequences.dispose();
    }
  },
};

/** Neighbouring windows in shards. A shard is made of whole groups, so that steps hold the same rows wherever it runs. */
export function predictionShards(model: Model, windows: readonly Window[]): readonly Shard<PredictionInput>[] {
  const context = windows.reduce((most, { tokens }) => Math.max(most, tokens.length), 0);
  const pairs = Math.min(MOST_WINDOWS, windows.length);
  const groups = [...groupsOf(windows, pairs, pairRows(model.plan({ sequences: 2 * pairs, context })))];
  const shards: Shard<PredictionInput>[] = [];
  let first = 0;
  for (let i = 0; i < groups.length; i += GROUPS) {
    const some = groups.slice(i, i + GROUPS).flat();
    const label = labelOf("window", "windows", first, some.length);
    shards.push({ label: `${label} of the texts`, model, input: { windows: some, pairs, context } });
    first += some.length;
  }
  return shards;
}

/** Rows of either model in a step. */
function pairRows({ chunkRows, chunkOuts }: Pick<Plan, "chunkRows" | "chunkOuts">): number {
  return Math.max(1, Math.floor(Math.min(chunkRows, chunkOuts) / 2));
}

/**
 * Runs windows through pairs of sequences, 2i plain and 2i + 1 edited, and compares their predictions as they come: at most
 * one step's logits are on the host.
 * @param sequences empty; the even ones have strength 0
 * @throws SluiceError `non_finite` naming the model, `bad_tokens`, `aborted`
 */
async function comparePredictions(
  sequences: Sequences,
  windows: readonly Window[],
  signal: AbortSignal | undefined,
  onProgress: (done: number) => void,
): Promise<readonly WindowSums[]> {
  const rows = pairRows(sequences.plan);
  const results: WindowSums[] = [];
  for (const group of groupsOf(windows, sequences.plan.sequences >> 1, rows)) {
    group.forEach(({ tokens }, i) => {
      for (const sequence of [2 * i, 2 * i + 1]) sequences.beginPrompt(sequence, tokens.length);
    });
    const sums = group.map((): Mutable<WindowSums> => ({ tokens: 0, plain: 0, edited: 0, divergence: 0, agreeing: 0 }));
    // A group of several fits into one step; a longer window is run alone in several steps.
    const longest = Math.max(...group.map(({ tokens }) => tokens.length));
    for (let from = 0; from < longest; from += rows) await compareStep(sequences, group, sums, from, rows, signal);
    group.forEach((_, i) => {
      for (const sequence of [2 * i, 2 * i + 1]) sequences.slots.truncate(sequence, 0);
    });
    results.push(...sums);
    onProgress(results.reduce((total, { tokens }) => total + tokens, 0));
  }
  return results;
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** Feeds each window's tokens [from, from + rows) to both of its sequences. */
async function compareStep(
  sequences: Sequences,
  group: readonly Window[],
  sums: readonly Mutable<WindowSums>[],
  from: number,
  rows: number,
  signal: AbortSignal | undefined,
): Promise<void> {
  const feeds = group.flatMap(({ tokens }, i) => {
    const part = tokens.slice(from, from + rows);
    return [2 * i, 2 * i + 1].map((sequence) => ({ sequence, tokens: part, outs: "all" as const }));
  });
  /** Logits of plain sequences that wait for those of the edited sequences. */
  const waiting = new Map<string, Float32Array>();
  for await (const { sequence, position, row } of logitRows(sequences, feeds, signal)) {
    const i = sequence >> 1;
    const key = `${i} ${position}`;
    if (sequence % 2 === 0) {
      waiting.set(key, row);
      continue;
    }
    const plain = waiting.get(key) as Float32Array;
    waiting.delete(key);
    const { tokens, counted } = group[i] as Window;
    const next = tokens[position + 1];
    if (next === undefined || position + 1 < tokens.length - counted) continue;
    const bad = add(sums[i] as Mutable<WindowSums>, plain, row, next);
    if (!bad) continue;
    const [which, owner] = bad === "plain" ? ([bad, 2 * i] as const) : ([bad, sequence] as const);
    throw await notFinite(sequences, owner, `The ${which} model's logits at position ${position} of a text`);
  }
}

/** @returns the model whose logits are not finite, if any: then nothing is added */
function add(
  sums: Mutable<WindowSums>,
  p: Float32Array,
  q: Float32Array,
  next: number,
): "plain" | "edited" | undefined {
  const [plain, edited] = [logSumExp(p), logSumExp(q)];
  if (!Number.isFinite(plain)) return "plain";
  if (!Number.isFinite(edited)) return "edited";
  sums.tokens++;
  sums.plain += plain - (p[next] as number);
  sums.edited += edited - (q[next] as number);
  sums.divergence += divergence(p, q, plain, edited);
  if (likeliest(p) === likeliest(q)) sums.agreeing++;
  return undefined;
}

/** Index of the largest logit, the first of equal ones. */
export function likeliest(logits: Float32Array): number {
  let top = 0;
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[top] as number)) top = i;
  return top;
}
