/** Rules and defaults of the options of generation, also for functions built on it. */

import { fields } from "../arguments/fields.ts";
import { listOf, tokens } from "../arguments/lists.ts";
import { test } from "../arguments/rule.ts";
import { finite, oneOf, signal, text, whole } from "../arguments/rules.ts";
import { MIN_TEMPERATURE } from "../kernels/sample/sample.ts";
import type { SamplingOptions } from "../runtime/sampling.ts";
import type { BatchGenerateOptions, CompareOptions, GenerateOptions, SessionGenerateOptions } from "./options.ts";

/** Maximum number of sequences in a session or a batch. On no device is a larger batch faster than several batches. */
export const MOST_SEQUENCES = 4096;

export const temperature = test<number>(`0 or a finite number of at least ${MIN_TEMPERATURE}`, (value) =>
  Number.isFinite(value) && (value === 0 || (value as number) >= MIN_TEMPERATURE));

const sampling = {
  temperature,
  topK: whole({ least: 0 }),
  topP: finite({ least: 0, most: 1 }),
  minP: finite({ least: 0, most: 1 }),
  repetitionPenalty: finite({ least: 1e-30, most: 1e30 }),
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
  signal,
};

export const samplingOptions = fields<Partial<SamplingOptions>>()(sampling);
export const generateOptions = fields<GenerateOptions>()(generation);

const { context: _, ...inSession } = generation;
export const sessionBatchOptions = fields<Omit<SessionGenerateOptions, "sequence">>()(inSession);
export const sessionGenerateOptions = fields<SessionGenerateOptions>()({
  ...inSession,
  sequence: whole({ least: 0 }),
});

export const batchGenerateOptions = fields<BatchGenerateOptions>()(inSession);

const { overflow: _overflow, seeds: _seeds, samples: _samples, ...compared } = inSession;
export const compareOptions = fields<CompareOptions>()({ ...compared, most: whole({ least: 0 }) });
