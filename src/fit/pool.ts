/** Responses of a model's sites to sentences, pooled over each sentence's tokens: many sentences to a step, none padded. */
import { MAX_ROWS } from "../compile/lower.ts";
import type { CaptureRegion } from "../compile/plan.ts";
import { SluiceError } from "../errors.ts";
import type { Model } from "../runtime/model.ts";
import type { Sequences } from "../runtime/sequences.ts";

/** How a sentence's tokens become one response: the greatest, that of the last token, or the mean. */
export type Pooling = "max" | "last" | "mean";

export interface PoolOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called after every batch with the sentences done. */
  onProgress?(done: number, total: number): void;
}

/** Sentences that are on the GPU at a time. */
const MOST_SEQUENCES = 64;

/**
 * Runs sentences through the model and hands out the pooled responses of each, float32 per site, in the order of the
 * sentences. The model should be loaded with `plan: "reference"`: then a token's values depend on its context alone, and
 * equal contexts tie to the last bit, whatever they are batched with.
 * @param take called for each sentence with its index and a response per site, `[width]`; it must not keep the array
 * @throws SluiceError `usage` for an empty sentence or an unknown site, `context_overflow`, `bad_tokens`, `aborted`
 */
export async function poolResponses(
  model: Model,
  sentences: readonly (readonly number[])[],
  sites: readonly string[],
  pooling: Pooling,
  take: (sentence: number, responses: ReadonlyMap<string, Float32Array>) => void,
  options: PoolOptions = {},
): Promise<void> {
  const most = model.config.max_position_embeddings;
  sentences.forEach((tokens, i) => {
    if (tokens.length === 0) {
      throw new SluiceError("usage", `Sentence ${i + 1} has no tokens`, { hint: "Leave empty lines out." });
    }
    if (tokens.length > most) {
      throw new SluiceError(
        "context_overflow",
        `Sentence ${i + 1} has ${tokens.length} tokens, and the model's context is ${most}`,
        { hint: "Cut it into pieces, or take the first tokens of each sentence alone (--max-tokens N)." },
      );
    }
  });
  if (sentences.length === 0) return;
  const longest = sentences.reduce((most, { length }) => Math.max(most, length), 0);
  const sequences = await model.openSequences({
    sequences: Math.min(MOST_SEQUENCES, sentences.length),
    context: longest,
    slots: Math.max(longest, MAX_ROWS),
    captures: sites,
    signal: options.signal,
  });
  try {
    let done = 0;
    for (const group of groupsOf(sentences, sequences)) {
      const pools = group.map((tokens) => new Pool(sequences.plan.captures, pooling, tokens.length));
      await runGroup(sequences, group, pools, options.signal);
      for (const pool of pools) take(done++, pool.responses());
      options.onProgress?.(done, sentences.length);
    }
  } finally {
    sequences.dispose();
  }
}

async function runGroup(
  sequences: Sequences,
  group: readonly (readonly number[])[],
  pools: readonly Pool[],
  signal: AbortSignal | undefined,
): Promise<void> {
  group.forEach((tokens, sequence) => {
    sequences.slots.truncate(sequence, 0);
    sequences.beginPrompt(sequence, tokens.length);
  });
  const feeds = group.map((tokens, sequence) => ({ sequence, tokens, outs: "all" as const }));
  const { captureBytes } = sequences.plan;
  const steps = sequences.feed(feeds, {
    head: "norm",
    tail: "none",
    signal,
    reads: () => [{ role: { role: "capture" }, offset: 0, byteLength: captureBytes }],
  });
  for await (const { step, bytes } of steps) {
    const captured = new Float32Array(bytes[0] as ArrayBuffer);
    step.rows.forEach(({ sequence, position }, row) => pools[sequence]?.add(captured, row, position));
  }
  group.forEach((_, sequence) => sequences.slots.truncate(sequence, 0));
}

/** The pooled responses of one sentence, as its rows come in. */
class Pool {
  readonly #regions: readonly CaptureRegion[];
  readonly #pooling: Pooling;
  readonly #length: number;
  readonly #values: readonly Float64Array[];

  constructor(regions: readonly CaptureRegion[], pooling: Pooling, length: number) {
    this.#regions = regions;
    this.#pooling = pooling;
    this.#length = length;
    this.#values = regions.map(({ width }) => new Float64Array(width).fill(pooling === "max" ? -Infinity : 0));
  }

  add(captured: Float32Array, row: number, position: number): void {
    if (this.#pooling === "last" && position !== this.#length - 1) return;
    this.#regions.forEach(({ offset, stride, width }, i) => {
      const values = this.#values[i] as Float64Array;
      const begin = offset + row * stride;
      if (this.#pooling === "max") {
        for (let j = 0; j < width; j++) {
          const value = captured[begin + j] as number;
          if (value > (values[j] as number)) values[j] = value;
        }
      } else {
        for (let j = 0; j < width; j++) values[j] = (values[j] as number) + (captured[begin + j] as number);
      }
    });
  }

  responses(): ReadonlyMap<string, Float32Array> {
    const divisor = this.#pooling === "mean" ? this.#length : 1;
    this.#values.forEach((values, i) => {
      // A NaN is never the greatest, so that what is left of nothing but NaNs is -Infinity.
      if (values.every(Number.isFinite)) return;
      throw new SluiceError("non_finite", `A value at ${this.#regions[i]?.site} is not finite`, {
        hint: "The weights may be damaged, or too large for the arithmetic.",
      });
    });
    return new Map(
      this.#regions.map(({ site }, i) => [
        site,
        Float32Array.from(this.#values[i] as Float64Array, (value) => value / divisor),
      ]),
    );
  }
}

/** Neighbouring sentences that fill a step without passing its rows; each group has at least one. */
function* groupsOf(
  sentences: readonly (readonly number[])[],
  { plan }: Sequences,
): Generator<readonly (readonly number[])[]> {
  let group: (readonly number[])[] = [];
  let rows = 0;
  for (const tokens of sentences) {
    if (group.length > 0 && (group.length === plan.sequences || rows + tokens.length > plan.chunkRows)) {
      yield group;
      group = [];
      rows = 0;
    }
    group.push(tokens);
    rows += tokens.length;
  }
  if (group.length > 0) yield group;
}
