/** `attention/tiled`: attention with key and value tiles in workgroup memory, for GPUs. */

import type { Kernel } from "../kernel.ts";
import { type AttentionShape, attentionCost, attentionShader, shapeName } from "./shape.ts";

/** How 128 invocations split a tile: more lanes, hence more keys and fewer query vectors, the wider the head. */
function tiling(head4: number): { lanes: number; chunk4: number; stageKeys: number } {
  if (head4 <= 16) return { lanes: 8, chunk4: Math.min(4, head4), stageKeys: 16 };
  if (head4 <= 32) return { lanes: 16, chunk4: 4, stageKeys: 8 };
  return { lanes: 32, chunk4: 2, stageKeys: 8 };
}

/**
 * The tiled kernel. It serves any number of rows and any mix of sequences with bits that depend on a row's own
 * context alone; decode rows leave most of a tile idle. `head_dim` % 4 = 0, at most 256: 16 KiB of workgroup memory.
 */
export function attentionTiled(shape: AttentionShape): Kernel {
  const group = shape.heads / shape.kv_heads;
  const head4 = shape.head_dim / 4;
  const { lanes, chunk4, stageKeys } = tiling(head4);
  const quads = 128 / lanes;
  const wide = head4 > lanes;
  const tileHeads = Math.min(group, 4 * quads);
  const tileRows = Math.floor((4 * quads) / tileHeads);
  const stage = Math.max(4 * chunk4 * (quads + lanes), stageKeys * (wide ? 2 : 1) * lanes, quads * lanes);
  return {
    name: `attention_tiled_${shapeName(shape)}`,
    shader: attentionShader(
      "attention/tiled",
      shape,
      {
        QUADS: quads,
        LANES: lanes,
        TILE_ROWS: tileRows,
        TILE_HEADS: tileHeads,
        CHUNK4: chunk4,
        STAGE_KEYS: stageKeys,
        STAGE_SIZE: stage,
      },
      { wide },
    ),
    summation: `attention_tiled${4 * lanes}`,
    workgroups: (rows) => [Math.ceil(rows / tileRows), shape.kv_heads * Math.ceil(group / tileHeads), 1],
    cost: (work) => attentionCost(shape, work, tileRows),
  };
}
