/**
 * What the sampler holds of each sequence: a record of its settings, which tokens count as seen, and for those that need
 * them addends and counts of tokens, and a mask.
 */
import type { Tail } from "../compile/plan.ts";
import { adjustmentBytes, LOGPROB_WORDS, packSettings, SETTING_BYTES } from "../kernels/sample/sample.ts";
import type { Read } from "./run.ts";
import { type SettledSampling, seenBits } from "./sampling.ts";
import type { Sequences } from "./sequences.ts";

/** A tail that draws tokens; each does what those before it do. */
export type DrawingTail = Tail & ("greedy" | "sample" | "adjusted" | "scored");

const DRAWING: readonly DrawingTail[] = ["greedy", "sample", "adjusted", "scored"];

/** What draws the tokens of a sequence: without a temperature or a penalty its largest logit is all that is wanted. */
export function tailFor(sampling: SettledSampling): DrawingTail {
  if (sampling.topLogprobs !== undefined) return "scored";
  if (hasAddends(sampling) || sampling.grammar) return "adjusted";
  return sampling.temperature === 0 && sampling.repetitionPenalty === 1 ? "greedy" : "sample";
}

/** What draws the tokens of several sequences in one step. */
export function tailForAll(all: readonly SettledSampling[]): DrawingTail {
  const most = Math.max(0, ...all.map((sampling) => DRAWING.indexOf(tailFor(sampling))));
  return DRAWING[most] as DrawingTail;
}

function hasAddends({ logitBias, presencePenalty = 0, frequencyPenalty = 0 }: SettledSampling): boolean {
  return presencePenalty !== 0 || frequencyPenalty !== 0 || (logitBias?.size ?? 0) > 0;
}

/** Where the sampler's state lies. */
type Sampled = Pick<Sequences, "executor" | "plan">;

/**
 * Says how a sequence's tokens are drawn, in everything submitted from now on; sequences of one step may differ.
 * @param tokens those that it has already
 * @param promptTokens how many of them were not drawn; default: all
 */
export function setSampling(
  sequences: Sampled,
  sequence: number,
  tokens: readonly number[],
  sampling: SettledSampling,
  promptTokens = tokens.length,
): void {
  const { logitBias, grammar, ...setting } = sampling;
  const record = { ...setting, hasAddends: hasAddends(sampling), isConstrained: grammar !== undefined };
  sequences.executor.write({ role: "settings" }, sequence * SETTING_BYTES, packSettings([record]));
  setDrawn(sequences, sequence, tokens, sampling, promptTokens);
}

/** Says which tokens a sequence has, as `setSampling` does. */
export function setDrawn(
  { executor, plan }: Sampled,
  sequence: number,
  tokens: readonly number[],
  sampling: SettledSampling,
  promptTokens: number,
): void {
  executor.write({ role: "seen" }, sequence * plan.seenWords * 4, seenBits(tokens, plan.seenWords));
  if (!hasAddends(sampling)) return;
  const stride = plan.logits?.stride ?? 0;
  const values = new Float32Array(2 * stride);
  for (const [id, addend] of sampling.logitBias ?? []) values[id] = addend;
  for (const id of tokens.slice(promptTokens)) values[stride + id] = (values[stride + id] as number) + 1;
  executor.write({ role: "adjustments" }, sequence * adjustmentBytes(stride), values);
}

/** Says which tokens a constrained sequence may take next. */
export function setMask({ executor, plan }: Sampled, sequence: number, mask: Uint32Array<ArrayBuffer>): void {
  executor.write({ role: "allowed" }, sequence * plan.seenWords * 4, mask);
}

/** Log probabilities of a drawn token, and of the most likely ones in falling order. */
export interface DrawnLogprobs {
  readonly logprob: number;
  readonly top: readonly { readonly token: number; readonly logprob: number }[];
}

/** Where the records of tokens lie. @param index of the first in the token table */
export function logprobsRead(index: number, count: number): Read {
  return { role: { role: "logprobs" }, offset: index * LOGPROB_WORDS * 4, byteLength: count * LOGPROB_WORDS * 4 };
}

/** The records of tokens, in order. */
export function readLogprobs(bytes: ArrayBuffer, { topLogprobs = 0 }: SettledSampling): readonly DrawnLogprobs[] {
  const words = new Uint32Array(bytes);
  const floats = new Float32Array(bytes);
  return Array.from({ length: words.length / LOGPROB_WORDS }, (_, i) => {
    const at = i * LOGPROB_WORDS;
    const top = Array.from({ length: topLogprobs }, (_, n) => {
      return { token: words[at + 1 + 2 * n] as number, logprob: floats[at + 2 + 2 * n] as number };
    });
    return { logprob: floats[at] as number, top };
  });
}
