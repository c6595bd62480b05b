/** What the sampler holds of each sequence: a record of its settings, and which tokens count as seen. */
import type { Tail } from "../compile/plan.ts";
import { packSettings, SETTING_BYTES } from "../kernels/sample/sample.ts";
import { type SamplingOptions, seenBits } from "./sampling.ts";
import type { Sequences } from "./sequences.ts";

/** What draws the tokens of a sequence: without a temperature or a penalty its largest logit is all that is wanted. */
export function tailFor({ temperature, repetitionPenalty }: SamplingOptions): Tail & ("greedy" | "sample") {
  return temperature === 0 && repetitionPenalty === 1 ? "greedy" : "sample";
}

/**
 * Says how a sequence's tokens are drawn, in everything submitted from now on; sequences of one step may differ.
 * @param tokens those that it has already
 */
export function setSampling(
  sequences: Pick<Sequences, "executor" | "plan">,
  sequence: number,
  tokens: readonly number[],
  sampling: SamplingOptions,
): void {
  sequences.executor.write({ role: "settings" }, sequence * SETTING_BYTES, packSettings([sampling]));
  setSeen(sequences, sequence, tokens);
}

/** Says which tokens a sequence has. */
export function setSeen(
  { executor, plan }: Pick<Sequences, "executor" | "plan">,
  sequence: number,
  tokens: readonly number[],
): void {
  executor.write({ role: "seen" }, sequence * plan.seenWords * 4, seenBits(tokens, plan.seenWords));
}
