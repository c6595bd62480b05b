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
}

/** Lower temperatures than this are taken for it. */
export const MIN_TEMPERATURE = 1e-6;

/** At this temperature all tokens are equally likely already. */
const MOST_TEMPERATURE = 1e30;

/** Bytes of one sequence's entry in the `settings` buffer. */
export const SETTING_BYTES = 32;

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
      [Math.min(setting.topK, 0xffffffff), setting.seed % 2 ** 32, Math.floor(setting.seed / 2 ** 32), 0],
      at + 4,
    );
  });
  return words;
}

/**
 * Draws a token for each out row i from logits f32 [outs][ceil4(V)] by `settings[outs[i].sequence]`, writes it to
 * `tokens[outs[i].token_index]` and sets its bit in `seen`. 0xffffffff, and no bit, if the row's logits are not all
 * finite. A draw depends on the logits, the setting, the seen bits and `outs[i].position`, and on nothing else.
 * Rows are out rows; at most one per sequence in a step.
 *
 * One shader serves both families; `register`, for software devices, has a quarter of the threads, each with one load at a time.
 */
export function sampleKernel(
  shape: VocabularyShape,
  { family = "tiled" }: { readonly family?: KernelFamily } = {},
): Kernel {
  const { vocab, maxRows } = shape;
  const span = family === "tiled" ? 16 : 8;
  const threads = span * span;
  return {
    name: `sample${threads}_${vocab}_m${maxRows}`,
    shader: {
      entry: "sample/sample",
      conditions: { four: family === "tiled" },
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
