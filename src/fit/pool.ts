/** Responses of a model's sites to sentences, pooled over each sentence's tokens: many sentences per step, without padding. */

import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { listOf, tokens } from "../arguments/lists.ts";
import { test } from "../arguments/rule.ts";
import { signal as abortSignal, callback, text } from "../arguments/rules.ts";
import { MAX_ROWS } from "../compile/lower.ts";
import type { PooledLayout } from "../compile/plan.ts";
import { SluiceError } from "../errors.ts";
import { ourSiteName } from "../interventions/site-names.ts";
import { SEGMENT_WORDS } from "../kernels/fit/pool.ts";
import type { StepRows } from "../kernels/step.ts";
import type { Model } from "../model/model.ts";
import { model as anyModel } from "../model/model-argument.ts";
import type { SessionOptions } from "../model/options.ts";
import type { Sequences, SubmittedStep } from "../runtime/sequences.ts";
import { labelOf, type Shard, type ShardKind, type ShardRunner } from "../shards/shards.ts";

/** How a sentence's tokens become one response: the greatest, the last token's, the mean, or the mean of the last k (`mean:k`). */
export type Pooling = "max" | "last" | "mean" | `mean:${number}`;

/** A sentence to be measured. */
export interface PooledSentence {
  readonly tokens: readonly number[];
  /** Number of its first tokens that are run and pooled. The others only make the prompt longer, on which stages may depend. */
  readonly end: number;
}

/** Options of {@link poolResponses}. */
export interface PoolOptions {
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal | undefined;
  /** Called after every batch with the sentences done. */
  onProgress?(done: number, total: number): void;
}

const poolingName = test<Pooling>('"max", "last", "mean" or "mean:k" with k from 1', (value) => {
  return typeof value === "string" && (["max", "last", "mean"].includes(value) || isMeanOfLast(value));
});

/** `mean:3`. */
export function isMeanOfLast(value: string): value is `mean:${number}` {
  return /^mean:[1-9]\d{0,8}$/.test(value);
}

export const poolDoor = entry(
  "poolResponses",
  ["model", anyModel],
  ["sentences", listOf(tokens)],
  ["sites", listOf(text, { least: 1 })],
  ["pooling", poolingName],
  ["take", callback<(sentence: number, responses: ReadonlyMap<string, Float32Array>) => void>()],
  optionsOf(
    fields<PoolOptions>()({
      signal: abortSignal,
      onProgress: callback<NonNullable<PoolOptions["onProgress"]>>(),
    }),
  ),
);

/** A site's columns in a row of pooled responses. */
export interface PooledSite {
  readonly site: string;
  readonly first: number;
  readonly width: number;
}

/** One row per sentence, its sites side by side. */
export type PooledRows = readonly Float32Array<ArrayBuffer>[];

/** Maximum number of sentences on the GPU at a time, and of bytes of their pooled responses. */
const MOST_SEQUENCES = 64;
const MOST_POOLED_BYTES = 64 << 20;

/**
 * Runs sentences through the model and passes on the pooled responses of each, float32 per site, in the order of the
 * sentences. They are pooled on the GPU: the greatest is exact, a mean is a float32 sum in blocks of 16 tokens, of at most
 * 256, and a float64 sum of those. The model should be loaded with `plan: "reference"`: then a token's values depend on
 * its context alone, and equal contexts tie to the last bit, whatever they are batched with.
 * @param take called for each sentence with its index and one response per site, `[width]`; it must not keep the arrays
 * @throws SluiceError `usage` for an empty sentence, an unknown site or `attn_pattern`; `non_finite` if a value is not a
 *   finite number, `context_overflow`, `bad_tokens`, `aborted`
 */
export async function poolResponses(
  model: Model,
  sentences: readonly (readonly number[])[],
  sites: readonly string[],
  pooling: Pooling,
  take: (sentence: number, responses: ReadonlyMap<string, Float32Array>) => void,
  options: PoolOptions = {},
): Promise<void> {
  const [engine, texts, ...rest] = poolDoor.read(model, sentences, sites, pooling, take, options);
  const whole = texts.map((tokens): PooledSentence => ({ tokens, end: tokens.length }));
  await poolSentences(engine, whole, ...rest);
}

/** The same for sentences of which only the first tokens are run. */
export async function poolSentences(
  model: Model,
  sentences: readonly PooledSentence[],
  sites: readonly string[],
  pooling: Pooling,
  take: (sentence: number, responses: ReadonlyMap<string, Float32Array>) => void,
  options: PoolOptions & { readonly runner?: ShardRunner | undefined } = {},
): Promise<void> {
  const ours = sites.map((site) => ourSiteName(model.config, site));
  const columns = new Map(pooledSites(model, ours).map((column) => [column.site, column]));
  const named = sites.map((site, i) => [site, columns.get(ours[i] as string) as PooledSite] as const);
  let done = 0;
  for await (const rows of pooledBatches(model, sentences, ours, pooling, options.signal, options.runner)) {
    for (const row of rows) {
      const responses = named.map(([site, { first, width }]) => [site, row.subarray(first, first + width)] as const);
      take(done++, new Map(responses));
    }
    options.onProgress?.(done, sentences.length);
  }
}

/**
 * The columns of each site in a row of {@link pooledBatches}: side by side, in the order in which they are named.
 * @throws SluiceError `usage` for an unknown site or `attn_pattern`
 */
export function pooledSites(model: Model, sites: readonly string[]): readonly PooledSite[] {
  const { regions } = pooledOf(model.plan({ context: 1, captures: sites, pooling: "max" }));
  let first = 0;
  return regions.map(({ site, width }) => {
    first += width;
    return { site, width, first: first - width };
  });
}

/**
 * The rows of {@link poolResponses}, one per sentence, its sites side by side in the model's own order of columns: a batch
 * per step or long sentence.
 * @param runner measures them in parts, elsewhere; default: here
 */
export async function* pooledBatches(
  model: Model,
  sentences: readonly PooledSentence[],
  sites: readonly string[],
  pooling: Pooling,
  signal: AbortSignal | undefined,
  runner?: ShardRunner,
): AsyncGenerator<PooledRows> {
  const spans = spansOf(sentences, pooling, model.config.max_position_embeddings);
  if (spans.length === 0) return;
  if (runner) {
    yield* runner.run(pooledShard, shardsOf(model, sentences, sites, pooling), { signal });
    return;
  }
  const longest = spans.reduce((most, { end }) => Math.max(most, end), 0);
  const rowBytes = pooledOf(model.plan({ context: 1, captures: sites, pooling: "max" })).stride * 4;
  const fitting = Math.min(MOST_POOLED_BYTES, model.device.limits.maxStorageBufferBindingSize) / rowBytes;
  const session: SessionOptions = {
    sequences: Math.max(1, Math.min(MOST_SEQUENCES, sentences.length, Math.floor(fitting))),
    context: longest,
    slots: Math.max(longest, MAX_ROWS),
    captures: sites,
    // The last token's response is the maximum over one token.
    pooling: isMean(pooling) ? "sum" : "max",
    signal,
  };
  const sequences = await model.openSequences(session);
  // While the device works on one group, the host sends the next and reads the one before.
  let underWay: Promise<PromiseSettledResult<PooledRows>> | undefined;
  try {
    for (const group of groupsOf(spans, sequences)) {
      const steps = await submitGroup(sequences, group, signal);
      const before = underWay;
      underWay = settled(rowsOf(steps, group, pooling, pooledOf(sequences.plan)));
      if (before) yield rowsFrom(await before);
    }
    if (underWay) yield rowsFrom(await underWay);
  } finally {
    await underWay;
    sequences.dispose();
  }
}

/** Sentences that are measured together elsewhere. */
interface PooledPart {
  readonly sentences: readonly PooledSentence[];
  readonly sites: readonly string[];
  readonly pooling: Pooling;
}

/** Maximum bytes of a part's rows: what is lost when its worker is. */
const MOST_PART_BYTES = 8 << 20;

/** The rows of some sentences. On the reference plan they do not depend on which sentences are measured together. */
export const pooledShard: ShardKind<PooledPart, PooledRows> = {
  name: "pool",
  amount: ({ sentences }) => sentences.length,
  async run(model, { sentences, sites, pooling }, { signal, onProgress }) {
    const all: Float32Array<ArrayBuffer>[] = [];
    for await (const rows of pooledBatches(model, sentences, sites, pooling, signal)) {
      all.push(...rows);
      onProgress?.(all.length);
    }
    return all;
  },
};

function shardsOf(
  model: Model,
  sentences: readonly PooledSentence[],
  sites: readonly string[],
  pooling: Pooling,
): readonly Shard<PooledPart>[] {
  const rowBytes = 4 * pooledSites(model, sites).reduce((sum, { width }) => sum + width, 0);
  const count = Math.max(1, Math.min(MOST_SEQUENCES, Math.floor(MOST_PART_BYTES / rowBytes)));
  return Array.from({ length: Math.ceil(sentences.length / count) }, (_, i) => {
    const some = sentences.slice(i * count, (i + 1) * count);
    const label = labelOf("sentence", "sentences", i * count, some.length);
    return { label, model, input: { sentences: some, sites, pooling } };
  });
}

/** Stores a promise's outcome: a failure is thrown when it is read, and is not an unhandled rejection until then. */
async function settled<Value>(promise: Promise<Value>): Promise<PromiseSettledResult<Value>> {
  const [outcome] = await Promise.allSettled([promise]);
  return outcome;
}

function rowsFrom(outcome: PromiseSettledResult<PooledRows>): PooledRows {
  if (outcome.status === "rejected") throw outcome.reason;
  return outcome.value;
}

/** A sentence of which the positions from `first` to before `end` are pooled. */
interface Span extends PooledSentence {
  readonly first: number;
}

function spansOf(sentences: readonly PooledSentence[], pooling: Pooling, most: number): readonly Span[] {
  const reach = reachOf(pooling);
  return sentences.map(({ tokens, end }, i) => {
    if (tokens.length === 0) {
      throw new SluiceError("usage", `Sentence ${i + 1} has no tokens`, { hint: "Leave out empty sentences." });
    }
    if (tokens.length > most) {
      throw new SluiceError(
        "context_overflow",
        `Sentence ${i + 1} has ${tokens.length} tokens, and the model's context is ${most}`,
        { hint: "Cut it into pieces, or use only the first tokens of each sentence.", field: "maxTokens" },
      );
    }
    if (reach !== null && reach > end) {
      throw new SluiceError("usage", `Sentence ${i + 1} has ${counted(end)}, too few for ${pooling}`, {
        hint: "Leave it out, or take the mean of fewer tokens.",
      });
    }
    return { tokens, end, first: reach === null ? 0 : end - reach };
  });
}

/** `1 token`, `7 tokens` */
export function counted(tokens: number): string {
  return tokens === 1 ? "1 token" : `${tokens} tokens`;
}

/** How many of the last tokens are pooled; null: all. */
function reachOf(pooling: Pooling): number | null {
  if (pooling === "last") return 1;
  return isMeanOfLast(pooling) ? Number(pooling.slice("mean:".length)) : null;
}

function isMean(pooling: Pooling): boolean {
  return pooling === "mean" || isMeanOfLast(pooling);
}

/** Sends a group. The device works in order, so the sequences are free for the next group at once. */
async function submitGroup(
  sequences: Sequences,
  group: readonly Span[],
  signal: AbortSignal | undefined,
): Promise<readonly SubmittedStep[]> {
  const { stride } = pooledOf(sequences.plan);
  group.forEach(({ tokens }, sequence) => sequences.beginPrompt(sequence, tokens.length));
  const steps = await sequences.submit(
    group.map(({ tokens, first, end }, sequence) => ({ sequence, tokens: tokens.slice(0, end), outs: end - first })),
    {
      head: "norm",
      tail: "none",
      signal,
      writes: (step) => [{ role: { role: "segments" }, offset: 0, words: segmentsOf(step, group, sequences) }],
      reads: () => [{ role: { role: "pooled" }, offset: 0, byteLength: group.length * stride * 4 }],
    },
  );
  group.forEach((_, sequence) => sequences.slots.truncate(sequence, 0));
  return steps;
}

/** One row per sentence, from the results of its steps. */
async function rowsOf(
  steps: readonly SubmittedStep[],
  group: readonly Span[],
  pooling: Pooling,
  layout: PooledLayout,
): Promise<PooledRows> {
  const totals = group.map(() => new Float64Array(layout.stride).fill(isMean(pooling) ? 0 : -Infinity));
  const left = await Promise.all(steps.map(({ bytes }) => bytes));
  steps.forEach(({ step }, i) => {
    const parts = new Float32Array(left[i]?.[0] as ArrayBuffer);
    for (const sequence of new Set(step.rows.map((row) => row.sequence))) {
      // A long sentence's steps before the pooled tokens have nothing for it.
      const first = group[sequence]?.first ?? 0;
      if (!step.rows.some((row) => row.sequence === sequence && row.position >= first)) continue;
      const part = parts.subarray(sequence * layout.stride, (sequence + 1) * layout.stride);
      addPart(totals[sequence] as Float64Array, part, pooling);
    }
  });
  return group.map(({ first, end }, i) =>
    finishRow(totals[i] as Float64Array, layout, isMean(pooling) ? end - first : 1),
  );
}

/** The plan's table of segments: the rows and out rows of the step over which each sequence is pooled. */
function segmentsOf(step: StepRows, group: readonly Span[], { plan }: Sequences): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(2 * plan.sequences * SEGMENT_WORDS);
  const note = (
    { sequence, position }: StepRows["rows"][number] | StepRows["outs"][number],
    at: number,
    table: number,
  ): void => {
    if (position < (group[sequence]?.first ?? 0)) return;
    const entry = (table * plan.sequences + sequence) * SEGMENT_WORDS;
    if (words[entry + 1] === 0) words[entry] = at;
    words[entry + 1] = (words[entry + 1] as number) + 1;
  };
  step.rows.forEach((row, at) => note(row, at, 0));
  step.outs.forEach((out, at) => note(out, at, 1));
  return words;
}

function addPart(total: Float64Array, part: Float32Array, pooling: Pooling): void {
  for (let j = 0; j < total.length; j++) {
    const before = total[j] as number;
    const value = part[j] as number;
    total[j] = isMean(pooling) ? before + value : Math.max(before, value);
  }
}

/** A row of responses from the results of its steps, without padding and in the model's order. */
function finishRow(total: Float64Array, { regions }: PooledLayout, divisor: number): Float32Array<ArrayBuffer> {
  const row = new Float32Array(regions.reduce((sum, { width }) => sum + width, 0));
  let first = 0;
  for (const { site, offset, width, order } of regions) {
    for (let j = 0; j < width; j++) {
      const value = (total[offset + j] as number) / divisor;
      if (!Number.isFinite(value)) {
        throw new SluiceError("non_finite", `A value at ${site} is not finite`, {
          hint: "The weights may be damaged, or too large for the arithmetic.",
        });
      }
      row[first + (order?.[j] ?? j)] = value;
    }
    first += width;
  }
  return row;
}

function pooledOf({ pooled }: Sequences["plan"]): PooledLayout {
  if (!pooled) throw new Error("The plan pools nothing");
  return pooled;
}

/** Neighbouring sentences that fill a step without exceeding its rows; each group has at least one. */
function* groupsOf(sentences: readonly Span[], { plan }: Sequences): Generator<readonly Span[]> {
  let group: Span[] = [];
  let rows = 0;
  for (const sentence of sentences) {
    if (group.length > 0 && (group.length === plan.sequences || rows + sentence.end > plan.chunkRows)) {
      yield group;
      group = [];
      rows = 0;
    }
    group.push(sentence);
    rows += sentence.end;
  }
  if (group.length > 0) yield group;
}
