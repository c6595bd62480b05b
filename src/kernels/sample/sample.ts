/** Sampling of a token per out row: shaders/sample/sample.wgsl, which states the rules. */

import type { Kernel, KernelFamily } from "../kernel.ts";
import { type VocabularyShape, vocabularyConstants } from "./argmax.ts";

/** How one sequence is sampled. The value that switches a rule off is given for each. */
export interface SamplingSetting {
  /** 0: the largest logit (after the penalty), no draw. Else at least {@link MIN_TEMPERATURE}. */
  readonly temperature: number;
  /** 0: off. */
  readonly topK: number;
  /** 1: off. */
  readonly topP: number;
  /** 0: off. */
  readonly minP: number;
  /** 1: off. */
  readonly repetitionPenalty: number;
  /** A whole number from 0 to 2^53 - 1; its low and high 32 bits key the draws. */
  readonly seed: number;
  /** Subtracted from the logits of tokens that were drawn before; default 0: off. */
  readonly presencePenalty?: number;
  /** Subtracted per time that a token was drawn before; default 0: off. */
  readonly frequencyPenalty?: number;
  /** The sequence has addends or counts in `adjustments`. */
  readonly hasAddends?: boolean;
  /** Only tokens whose bits are set in `allowed` may be drawn. */
  readonly isConstrained?: boolean;
  /** Log probabilities are recorded: of the token and this number of most likely ones; default: none. */
  readonly topLogprobs?: number | undefined;
}

/** Maximum number of most likely tokens whose log probabilities are recorded. */
export const MOST_TOP_LOGPROBS = 20;

/** Words of a token's record of log probabilities: its own, then ids and log probabilities. */
export const LOGPROB_WORDS = 1 + 2 * MOST_TOP_LOGPROBS;

/** Lower temperatures than this are taken for it. */
export const MIN_TEMPERATURE = 1e-6;
/** Bounds of repetition penalties, whose products with logits float32 holds. */
export const REPETITION_PENALTIES = { least: 1e-30, most: 1e30 } as const;

/** At this temperature all tokens are equally likely already. */
const MOST_TEMPERATURE = 1e30;

/** Bytes of one sequence's entry in the `settings` buffer. */
export const SETTING_BYTES = 40;

/** Words of one sequence's bit set in the `seen` buffer, a bit per token: word id >> 5, bit id & 31. */
export function seenWords(vocab: number): number {
  return Math.ceil(vocab / 32);
}

/** Packs settings, one per sequence, into the words of the `settings` buffer. */
export function packSettings(settings: readonly SamplingSetting[]): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array((settings.length * SETTING_BYTES) / 4);
  const floats = new Float32Array(words.buffer);
  settings.forEach((setting, i) => {
    const at = (i * SETTING_BYTES) / 4;
    // Beyond these, float32 has no number, and nothing is left for a larger or smaller one to change.
    const temperature = Math.min(setting.temperature, MOST_TEMPERATURE);
    floats.set([temperature, setting.topP, setting.minP, setting.repetitionPenalty], at);
    words.set(
      [
        Math.min(setting.topK, 0xffffffff),
        setting.seed % 2 ** 32,
        Math.floor(setting.seed / 2 ** 32),
        flagsOf(setting),
      ],
      at + 4,
    );
    floats.set([setting.presencePenalty ?? 0, setting.frequencyPenalty ?? 0], at + 8);
  });
  return words;
}

function flagsOf({ hasAddends = false, isConstrained = false, topLogprobs }: SamplingSetting): number {
  const scored = topLogprobs === undefined ? 0 : 4 | (topLogprobs << 8);
  return (hasAddends ? 1 : 0) | (isConstrained ? 2 : 0) | scored;
}

/** Bytes of one sequence's part of the `adjustments` buffer: addends and counts, f32 [2][ceil4(V)]. */
export function adjustmentBytes(vocab: number): number {
  return 2 * Math.ceil(vocab / 4) * 16;
}

/**
 * Draws a token for each out row i from logits f32 [outs][ceil4(V)] by `settings[outs[i].sequence]`, writes it to
 * `tokens[outs[i].token_index]` and sets its bit in `seen`. 0xffffffff, and no bit, if the row's logits are not all
 * finite. A draw depends on the logits, the setting, the seen bits and `outs[i].position`, and on nothing else.
 * Rows are out rows; at most one per sequence in a step.
 *
 * With `adjusted` also by the addends, counts and masks of sequences that have them: `adjustments`, which counts the draws,
 * and `allowed`, a bit per token as in `seen`.
 *
 * One shader serves both families; `register`, for software devices, has a quarter of the threads, each with one load at a time.
 */
export function sampleKernel(
  shape: VocabularyShape,
  { family = "tiled", adjusted = false }: { readonly family?: KernelFamily; readonly adjusted?: boolean } = {},
): Kernel {
  const { vocab, maxRows } = shape;
  const span = family === "tiled" ? 16 : 8;
  const threads = span * span;
  return {
    name: `sample${threads}${adjusted ? "_adjusted" : ""}_${vocab}_m${maxRows}`,
    shader: {
      entry: "sample/sample",
      conditions: { four: family === "tiled", adjusted },
      constants: { ...vocabularyConstants(shape), THREADS: `${threads}u`, SPAN: `${span}u` },
    },
    summation: `workgroup${threads}`,
    workgroups: (outs) => [outs, 1, 1],
    cost: ({ rows }) => ({
      flops: rows * vocab * 20,
      bytes: rows * (vocab * 4 + seenWords(vocab) * 4 + SETTING_BYTES + 4),
    }),
  };
}

/**
 * Records log probabilities per out row at its token's place in `logprobs`, u32 [tokens][LOGPROB_WORDS] (floats by their
 * bits), for sequences that ask: of the drawn token, and of the most likely ones, by the softmax of the logits as they are.
 */
export function logprobsKernel(
  shape: VocabularyShape,
  { family = "tiled" }: { readonly family?: KernelFamily } = {},
): Kernel {
  const { vocab, maxRows } = shape;
  const span = family === "tiled" ? 16 : 8;
  const threads = span * span;
  return {
    name: `logprobs${threads}_${vocab}_m${maxRows}`,
    shader: {
      entry: "sample/logprobs",
      conditions: {},
      constants: {
        ...vocabularyConstants(shape),
        THREADS: `${threads}u`,
        SPAN: `${span}u`,
        RECORD: `${LOGPROB_WORDS}u`,
      },
    },
    summation: `workgroup${threads}`,
    workgroups: (outs) => [outs, 1, 1],
    cost: ({ rows }) => ({ flops: rows * vocab * 20, bytes: rows * (vocab * 4 + LOGPROB_WORDS * 4) }),
  };
}
