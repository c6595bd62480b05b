/** Rules and defaults of the options of generation, also for functions built on it. */

import { isKind } from "../arguments/buffers.ts";
import { fields, needed } from "../arguments/fields.ts";
import { isTable, listOf, tableOf, tokens } from "../arguments/lists.ts";
import { type Rule, test } from "../arguments/rule.ts";
import { callback, finite, flag, float32, oneOf, signal, text, whole } from "../arguments/rules.ts";
import { maskedEdges, positions } from "../interventions/arguments.ts";
import { MIN_TEMPERATURE, MOST_TOP_LOGPROBS, REPETITION_PENALTIES } from "../kernels/sample/sample.ts";
import type { StageChange } from "../runtime/live-stages.ts";
import type { LogitBias, SamplingOptions } from "../runtime/sampling.ts";
import type {
  BatchGenerateOptions,
  BatchIntervention,
  CompareOptions,
  GenerateBatchOptions,
  GenerateOptions,
  SessionBatchOptions,
  SessionGenerateOptions,
  TokenListener,
} from "./options.ts";
import { responseFormat } from "./response-format.ts";

/** Maximum number of sequences in a session or a batch. On no device is a larger batch faster than several batches. */
export const MOST_SEQUENCES = 4096;

export const temperature = test<number>(`0 or a finite number of at least ${MIN_TEMPERATURE}`, (value) =>
  Number.isFinite(value) && (value === 0 || (value as number) >= MIN_TEMPERATURE));

const penalty = finite({ least: -2, most: 2 });
const addend = finite({ least: -100, most: 100 });

/** Addends by token id, as a Map or an object; copied. */
export const logitBias: Rule<ReadonlyMap<number, number>, LogitBias> = {
  takes: "a Map or an object from token ids to numbers from -100 to 100",
  suits: isTable,
  read(value, place) {
    if (!isTable(value)) throw place.refuse(value, this.takes);
    const addends = new Map<number, number>();
    for (const [key, given] of isKind(value, "Map") ? (value as Map<unknown, unknown>) : Object.entries(value)) {
      const id = typeof key === "string" && /^\d+$/.test(key) ? Number(key) : key;
      if (!Number.isSafeInteger(id) || (id as number) < 0) throw place.refuse(key, "a token id as each key");
      addends.set(id as number, addend.read(given, place.field(String(key))));
    }
    return addends;
  },
};

const sampling = {
  temperature,
  topK: whole({ least: 0 }),
  topP: finite({ least: 0, most: 1 }),
  minP: finite({ least: 0, most: 1 }),
  repetitionPenalty: finite(REPETITION_PENALTIES),
  frequencyPenalty: penalty,
  presencePenalty: penalty,
  logitBias,
  seed: whole({ least: 0 }),
};

const generation = {
  ...sampling,
  maxNewTokens: whole({ least: 1 }),
  samples: whole({ least: 1, most: MOST_SEQUENCES }),
  seeds: listOf(sampling.seed),
  stop: listOf(text),
  stopTokens: tokens,
  context: whole({ least: 1 }),
  overflow: oneOf(["stop", "error", "truncate"]),
  promptLength: test<number>("a whole number of at least 1", (value) => typeof value === "number"),
  logprobs: flag,
  topLogprobs: whole({ least: 0, most: MOST_TOP_LOGPROBS }),
  responseFormat,
  signal,
};

export const samplingOptions = fields<Partial<SamplingOptions>>()(sampling);
export const generateOptions = fields<GenerateOptions>()(generation);

const { context: _, ...inSession } = generation;
const onToken = callback<NonNullable<TokenListener["onToken"]>>();
export const generateBatchOptions = fields<GenerateBatchOptions>()({ ...generation, onToken });
export const sessionBatchOptions = fields<SessionBatchOptions>()({ ...inSession, onToken });
export const sessionGenerateOptions = fields<SessionGenerateOptions>()({
  ...inSession,
  sequence: whole({ least: 0 }),
});

export const batchGenerateOptions = fields<BatchGenerateOptions>()({
  ...inSession,
  interventions: listOf(
    fields<BatchIntervention>("a bundle { bundle, stages, edges }")({
      bundle: needed(text),
      stages: tableOf(
        fields<Omit<StageChange, "edges">>("new values { strength, alpha, positions }")({
          strength: float32,
          alpha: float32,
          positions,
        }),
      ),
      edges: maskedEdges,
    }),
  ),
});

const {
  overflow: _overflow,
  seeds: _seeds,
  samples: _samples,
  logprobs: _logprobs,
  topLogprobs: _topLogprobs,
  responseFormat: _responseFormat,
  ...compared
} = inSession;
export const compareOptions = fields<CompareOptions>()({ ...compared, most: whole({ least: 0 }) });
