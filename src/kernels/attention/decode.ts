/** `attention/decode`: a workgroup for each row and kv head, for decode on GPUs. */

import type { Kernel } from "../kernel.ts";
import { type AttentionShape, attentionCost, attentionShader, shapeName } from "./shape.ts";

/** Heads of a group that one workgroup serves: as many as fit a vec4's lanes. */
const MOST_HEADS = 4;

/** How a workgroup splits the heads of a group among themselves; `WIDTH` invocations read a row of values side by side. */
export function decodeTiling({ heads, kv_heads, head_dim }: AttentionShape): {
  readonly constants: { readonly WIDTH: number; readonly TILE_HEADS: number };
  readonly conditions: Readonly<Record<string, boolean>>;
  /** Workgroups that the heads of one group take. */
  readonly headTiles: number;
} {
  const group = heads / kv_heads;
  const tileHeads = Math.min(group, MOST_HEADS);
  return {
    constants: { WIDTH: 2 ** Math.ceil(Math.log2(head_dim / 4)), TILE_HEADS: tileHeads },
    conditions: { heads2: tileHeads > 1, heads3: tileHeads > 2, heads4: tileHeads > 3 },
    headTiles: Math.ceil(group / tileHeads),
  };
}

/**
 * The decode kernel. Any mix of rows is right; rows of one sequence share nothing but the device's caches, so
 * prefill belongs to `attention/tiled`. `head_dim` % 4 = 0, at most 256.
 */
export function attentionDecode(shape: AttentionShape): Kernel {
  const { constants, conditions, headTiles } = decodeTiling(shape);
  return {
    name: `attention_decode_${shapeName(shape)}`,
    shader: attentionShader("attention/decode", shape, constants, conditions),
    summation: `attention_decode${constants.WIDTH}`,
    workgroups: (rows) => [rows, shape.kv_heads * headTiles, 1],
    cost: (work) => attentionCost(shape, work, 1),
  };
}
