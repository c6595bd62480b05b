/** Cross-entropy of known next tokens, for perplexities: shaders/sample/cross_entropy_*.wgsl. */

import type { Kernel, KernelFamily } from "../kernel.ts";
import {
  segmentBytes,
  segmentCount,
  type TwoStageKernels,
  type VocabularyShape,
  vocabularyConstants,
} from "./argmax.ts";

/**
 * losses[args.offset + i] = logsumexp(logits[i]) - logits[i][tokens[outs[i].token_index]], natural logarithm, f32; NaN
 * if a logit is not finite or the target is not in the vocabulary. Both stages read the logits,
 * f32 [outs][ceil4(V)], whose padding is ignored. Both families have the same bits.
 */
export function crossEntropyKernels(
  shape: VocabularyShape,
  { family = "tiled" }: { readonly family?: KernelFamily } = {},
): TwoStageKernels {
  const { vocab, maxRows } = shape;
  const segments = segmentCount(vocab);
  const constants = { ...vocabularyConstants(shape), SEGMENTS: `${segments}u` };
  const summation = `segments${segments}`;
  const partial: Kernel = {
    name: `cross_entropy_partial${family === "tiled" ? "_four" : ""}_${vocab}_m${maxRows}`,
    shader: { entry: "sample/cross_entropy_partial", constants, conditions: { four: family === "tiled" } },
    summation,
    workgroups: (outs) => [segments / 64, outs, 1],
    cost: ({ rows }) => ({ flops: rows * vocab * 4, bytes: rows * vocab * 4 + segmentBytes(vocab, rows) }),
  };
  const final: Kernel = {
    name: `cross_entropy_final_${vocab}_m${maxRows}`,
    shader: { entry: "sample/cross_entropy_final", constants },
    summation,
    workgroups: (outs) => [Math.ceil(outs / 32), 1, 1],
    cost: ({ rows }) => ({ flops: rows * segments * 4, bytes: segmentBytes(vocab, rows) + rows * 12 }),
  };
  return { partial, final, partialBytes: (maxOuts) => segmentBytes(vocab, maxOuts) };
}
