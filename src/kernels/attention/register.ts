/** `attention/register`: attention without workgroup memory or barriers, for software devices. */

import type { Kernel } from "../kernel.ts";
import { type AttentionShape, attentionCost, attentionShader, shapeName } from "./shape.ts";

/** Invocations of a workgroup: few, so that a single decode row still spreads over a software device's cores. */
const THREADS = 16;

/** vec4s of output that one invocation accumulates in named registers. */
const WIDEST_SLICE = 16;

/**
 * The register kernel with `tile` rows per invocation: one for decode, four for prefill, where a key loaded
 * once serves four rows. Both are of class `attention_online4` and agree bit for bit. `head_dim` % 4 = 0.
 */
export function attentionRegister(shape: AttentionShape, tile: 1 | 4): Kernel {
  const head4 = shape.head_dim / 4;
  const slices = Math.ceil(head4 / WIDEST_SLICE);
  const slice4 = Math.ceil(head4 / slices);
  return {
    name: `attention_register${tile}_${shapeName(shape)}`,
    shader: attentionShader(
      "attention/register",
      shape,
      { SLICES: slices, SLICE4: slice4, TILE: tile },
      { rows4: tile === 4, columns5: slice4 > 4, columns9: slice4 > 8, columns13: slice4 > 12 },
    ),
    summation: "attention_online4",
    workgroups: (rows) => [Math.ceil((shape.heads * slices) / THREADS), Math.ceil(rows / tile), 1],
    cost: (work) => attentionCost(shape, work, tile),
  };
}
