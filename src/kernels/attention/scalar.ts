/** `attention/scalar`: attention for head widths that are not a multiple of four, in every family. */

import type { Kernel } from "../kernel.ts";
import { type AttentionShape, attentionCost, attentionShader, shapeName } from "./shape.ts";

const THREADS = 16;

/** The scalar kernel: any head width, any number of rows, bits that depend on a row's own context alone. */
export function attentionScalar(shape: AttentionShape): Kernel {
  const width4 = Math.ceil((shape.heads * shape.head_dim) / 4);
  return {
    name: `attention_scalar_${shapeName(shape)}`,
    shader: attentionShader("attention/scalar", shape),
    summation: "attention_scalar",
    workgroups: (rows) => [Math.ceil(width4 / THREADS), rows, 1],
    cost: (work) => attentionCost(shape, work, 1),
  };
}
