/** Gradient of the cross-entropy with respect to the logits: shaders/backward/cross_entropy.wgsl. */

import type { Kernel } from "../kernel.ts";
import { type VocabularyShape, vocabularyConstants } from "../sample/argmax.ts";

/**
 * output[i] = weights[offset + i]·(softmax(logits[i]) − onehot(tokens[outs[i].token_index])) for every out row, rows of
 * ceil4(V) floats; `losses[offset + i]` must hold the row's cross-entropy. Args: `offset`.
 */
export function crossEntropyGradient(shape: VocabularyShape): Kernel {
  const { vocab, maxRows } = shape;
  return {
    name: `backward_cross_entropy_${vocab}_m${maxRows}`,
    shader: { entry: "backward/cross_entropy", constants: vocabularyConstants(shape) },
    summation: "none",
    workgroups: (outs) => [Math.ceil(vocab / 256), outs, 1],
    cost: ({ rows }) => ({ flops: 5 * rows * vocab, bytes: 8 * rows * vocab }),
  };
}
