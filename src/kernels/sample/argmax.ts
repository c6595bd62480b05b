/** Greedy choice of a token per out row: shaders/sample/argmax_*.wgsl. */
import type { Kernel, KernelFamily } from "../kernel.ts";

export interface VocabularyShape {
  /** V; rows of logits are padded to a multiple of 4. */
  readonly vocab: number;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
}

/** Two stages that meet in a buffer of partial results. Rows are out rows. */
export interface TwoStageKernels {
  readonly partial: Kernel;
  readonly final: Kernel;
  /** Size of the buffer between them for that many out rows. */
  partialBytes(maxOuts: number): number;
}

/** Bytes of one segment's partial result: two words, for the greedy choice as for the cross-entropy. */
const PARTIAL_BYTES = 8;

/**
 * How many segments a row of logits is cut into, a multiple of the partial kernels' 64 threads. The first stage reads
 * V/4/segments vec4s in each thread and the second reads the segments in one: the sum of both, as vec4s, is least near
 * the square root of V/2.
 */
export function segmentCount(vocab: number): number {
  return 64 * Math.min(Math.max(Math.round(Math.sqrt(vocab / 2) / 64), 1), 8);
}

/** Size of the buffer between the stages over a vocabulary. */
export function segmentBytes(vocab: number, maxOuts: number, segments = segmentCount(vocab)): number {
  return maxOuts * segments * PARTIAL_BYTES;
}

/**
 * The same for a GPU, whose second stage is a workgroup a row: a thread has four loads under way at once, so the first
 * stage gets one such trip a thread, up to the 2,048 segments that are one trip of the second.
 */
function manySegments(vocab: number): number {
  return 256 * Math.min(Math.max(Math.ceil(vocab / 16 / 256), 1), 8);
}

/** Constants of the shaders that read rows of logits. */
export function vocabularyConstants({ vocab, maxRows }: VocabularyShape): Record<string, string> {
  return { VOCAB: `${vocab}u`, V4: `${Math.ceil(vocab / 4)}u`, MAX_ROWS: `${maxRows}u` };
}

/**
 * For each out row i the smallest id of the largest logit goes to `tokens[outs[i].token_index]`, and 0xffffffff if any
 * logit of the row is not finite. `partial` reads logits f32 [outs][ceil4(V)], whose padding is ignored. `tiled` cuts a
 * row in more segments, which fill a GPU, and has a workgroup for each row's second stage, not a thread.
 */
export function argmaxKernels(
  shape: VocabularyShape,
  { family = "tiled" }: { readonly family?: KernelFamily } = {},
): TwoStageKernels {
  const { vocab, maxRows } = shape;
  const meet = family === "tiled";
  const segments = meet ? manySegments(vocab) : segmentCount(vocab);
  const constants = { ...vocabularyConstants(shape), SEGMENTS: `${segments}u` };
  const partialBytes = (outs: number) => segmentBytes(vocab, outs, segments);
  const partial: Kernel = {
    name: `argmax_partial${segments}_${vocab}_m${maxRows}`,
    shader: { entry: "sample/argmax_partial", constants },
    summation: "none",
    workgroups: (outs) => [segments / 64, outs, 1],
    cost: ({ rows }) => ({ flops: rows * vocab, bytes: rows * vocab * 4 + partialBytes(rows) }),
  };
  const final: Kernel = {
    name: `argmax_final${segments}${meet ? "_meet" : ""}_${vocab}_m${maxRows}`,
    shader: {
      entry: "sample/argmax_final",
      conditions: { meet },
      constants: { ...constants, ...(meet ? { THREADS: "256u", SPAN: "16u" } : { THREADS: "32u" }) },
    },
    summation: "none",
    workgroups: (outs) => [meet ? outs : Math.ceil(outs / 32), 1, 1],
    cost: ({ rows }) => ({ flops: rows * segments, bytes: partialBytes(rows) + rows * 4 }),
  };
  return { partial, final, partialBytes };
}
