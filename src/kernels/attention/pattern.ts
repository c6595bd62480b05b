/** `attention/pattern`: the softmax weights of every row and head, for captures of `attn_pattern`. */

import type { Kernel } from "../kernel.ts";
import { type AttentionShape, attentionShader, checkAttentionShape, shapeName } from "./shape.ts";

const THREADS = 16;

/**
 * Writes weights to `pattern`, f32, at `args.offset + (head · rows + row) · args.key_stride + j`: the softmax over
 * the keys j that the row sees, 0 for other j < `key_stride`, which must exceed every position of the step.
 * Binds what attention binds but for `v_cache`; any head width. A tap makes no difference to it.
 * @throws SluiceError `bad_config` for a shape that no attention kernel serves.
 */
export function patternKernel(shape: AttentionShape): Kernel {
  checkAttentionShape(shape);
  const untapped = { ...shape, taps: [] };
  return {
    name: `attention_pattern_${shapeName(untapped)}`,
    shader: attentionShader("attention/pattern", untapped),
    summation: "attention_pattern",
    workgroups: (rows) => [Math.ceil(rows / THREADS), shape.heads, 1],
    cost: ({ rows, keys }) => ({
      flops: 2 * keys * shape.heads * shape.head_dim,
      bytes: 4 * (rows * shape.heads * shape.head_dim + keys * (shape.kv_heads * shape.head_dim + shape.heads)),
    }),
  };
}
