/** `attention/decode`: a workgroup for each row and kv head, for decode on GPUs. */
import {
  type AttentionShape,
  attentionArgs,
  attentionBindings,
  attentionCost,
  attentionShader,
  shapeName,
} from "./attention-shape.ts";
import type { Kernel } from "./kernel.ts";

/** Heads of a group that one workgroup serves: as many as fit a vec4's lanes. */
const MOST_HEADS = 4;

/**
 * The decode kernel. Any mix of rows is right; rows of one sequence share nothing but the device's caches, so
 * prefill belongs to `attention/tiled`. `head_dim` % 4 = 0, at most 256.
 */
export function attentionDecode(shape: AttentionShape): Kernel {
  const group = shape.heads / shape.kv_heads;
  const tileHeads = Math.min(group, MOST_HEADS);
  const width = 2 ** Math.ceil(Math.log2(shape.head_dim / 4));
  return {
    name: `attention_decode_${shapeName(shape)}`,
    shader: attentionShader(
      "attention/decode",
      shape,
      { WIDTH: width, TILE_HEADS: tileHeads },
      { heads2: tileHeads > 1, heads3: tileHeads > 2, heads4: tileHeads > 3 },
    ),
    bindings: attentionBindings(shape),
    args: attentionArgs(shape),
    summation: `attention_decode${width}`,
    workgroups: (rows) => [rows, shape.kv_heads * Math.ceil(group / tileHeads), 1],
    cost: (work) => attentionCost(shape, work, 1),
  };
}
