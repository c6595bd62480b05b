/** Continuations of prompts, in shards. */
import type { GenerateResult } from "../model/generation.ts";
import type { GenerateOptions } from "../model/options.ts";
import type { ShardKind } from "./shards.ts";

/** Prompts that are continued side by side. */
export interface GenerateInput {
  readonly prompts: readonly (string | readonly number[])[];
  readonly options: Omit<GenerateOptions, "signal">;
}

/** Prompts of a shard. */
export const SHARD_PROMPTS = 64;

/** Results in the order of the prompts. */
export const generated: ShardKind<GenerateInput, readonly GenerateResult[]> = {
  name: "generate",
  amount: ({ prompts }) => prompts.length,
  run: (model, { prompts, options }, { signal }) =>
    model.generateBatch(prompts, { ...options, ...(signal && { signal }) }),
};
