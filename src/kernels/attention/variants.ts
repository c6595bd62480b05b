/** The kernels that can serve attention, for the tuner. */

import type { KernelVariant, Operation } from "../variants.ts";
import { type AttentionChoice, type AttentionShape, attentionKernels } from "./attention.ts";
import { attentionDecode } from "./decode.ts";
import { attentionRegister } from "./register.ts";
import { attentionTiled } from "./tiled.ts";

const ANY = Number.POSITIVE_INFINITY;

export function attentionOperation(shape: AttentionShape, choice: AttentionChoice): Operation {
  const { heads, kv_heads, head_dim, cache = "f32" } = shape;
  return {
    name: "attention",
    shape: `${heads}of${kv_heads}x${head_dim}`,
    dtype: cache,
    guess: attentionKernels(shape, choice),
    // Between them rows are those of a batch as well as those of a prompt, which tiles serve very differently.
    tunedRows: ["1", "more"],
    variants: () => {
      if (head_dim % 4 !== 0) return [];
      const list: readonly KernelVariant[] = [
        { name: "register1", rows: [1, ANY], kernel: attentionRegister(shape, 1) },
        { name: "register4", rows: [2, ANY], kernel: attentionRegister(shape, 4) },
        { name: "decode", rows: [1, 1], kernel: attentionDecode(shape) },
        { name: "tiled", rows: [1, ANY], kernel: attentionTiled(shape) },
      ];
      return list;
    },
  };
}
