/** `attention/decode` split over the keys, and `attention/merge`, which joins the parts: for long caches on GPUs. */

import type { Kernel } from "../kernel.ts";
import { decodeTiling } from "./decode.ts";
import { type AttentionShape, attentionCost, attentionShader, shapeName } from "./shape.ts";

/** A row of parts serves at least this many keys. */
const KEYS_A_PART = 256;
const MOST_PARTS = 16;

/** Parts of a cache of that many positions. */
export function splitParts(capacity: number): number {
  return Math.min(MOST_PARTS, Math.ceil(capacity / KEYS_A_PART));
}

/** Bytes of the buffer `parts_of_rows`, through which the two kernels meet. */
export function splitBytes({ heads, head_dim }: AttentionShape, parts: number, rows: number): number {
  return rows * heads * parts * (head_dim / 4 + 1) * 16;
}

/** The first of the two: as `attentionDecode`, each row's keys dealt to that many workgroups. `head_dim` % 4 = 0. */
export function attentionSplit(shape: AttentionShape, parts: number): Kernel {
  const plain: AttentionShape = { ...shape, taps: [], staged: false, programs: false };
  const { constants, conditions, headTiles } = decodeTiling(shape);
  return {
    name: `attention_split${parts}_${shapeName(plain)}`,
    shader: attentionShader("attention/decode", plain, { ...constants, PARTS: parts }, { ...conditions, split: true }),
    summation: `attention_split${constants.WIDTH}`,
    workgroups: (rows) => [rows, shape.kv_heads * headTiles, parts],
    cost: (work) => attentionCost(shape, work, 1),
  };
}

/** The second: z from the parts, with the stages and captures of z. */
export function attentionMerge(shape: AttentionShape, parts: number): Kernel {
  const width4 = (shape.heads * shape.head_dim) / 4;
  const { cache: _, ...merged } = shape;
  return {
    name: `attention_merge${parts}_${shapeName(merged)}`,
    shader: attentionShader("attention/merge", merged, { PARTS: parts }, { merges: true }),
    summation: "attention_merge",
    workgroups: (rows) => [Math.ceil(width4 / 64), rows, 1],
    cost: ({ rows }) => ({
      flops: rows * parts * width4 * 8,
      bytes: splitBytes(shape, parts, rows) + rows * width4 * 16,
    }),
  };
}
