/**
 * Attention over the cache: z = softmax(scale · q·Kᵀ, causal and windowed) · V for every row and head.
 * This module chooses; each shader has a module of its own beside it.
 */

import type { Kernel, KernelFamily, RowRange } from "../kernel.ts";
import { attentionDecode } from "./decode.ts";
import { attentionRegister } from "./register.ts";
import { attentionScalar } from "./scalar.ts";
import { type AttentionShape, checkAttentionShape } from "./shape.ts";
import { attentionTiled } from "./tiled.ts";

export { patternKernel } from "./pattern.ts";
export type { AttentionShape } from "./shape.ts";

export interface AttentionChoice {
  readonly family: KernelFamily;
  /** One summation class for every number of rows: a row's bits then depend on its own context alone. */
  readonly reference: boolean;
}

/** Up to this many rows a tile of four register rows does not pay: batched decode would walk it once per sequence. */
const SINGLE_ROWS = 16;

/** Up to this many rows a workgroup for each row and kv head beats tiles, which decode rows would leave nearly empty. */
const DECODE_ROWS = 32;

/**
 * The kernels that serve a shape, ascending in `maxRows`; the first whose `maxRows` reaches the step's rows is
 * the one to use, and the last reaches `shape.maxRows`.
 *
 * Reference plans: `register` keeps both its tiles, which are of one class and agree bit for bit; `tiled` serves
 * every number of rows with `attention/tiled`, since `attention/decode` adds up in another order.
 * Head widths that are not a multiple of four are served by `attention/scalar` in every family.
 * @throws SluiceError `bad_config` for a shape that no kernel serves.
 */
export function attentionKernels(shape: AttentionShape, choice: AttentionChoice): readonly RowRange[] {
  checkAttentionShape(shape);
  const { maxRows } = shape;
  const ranked = (limit: number, few: Kernel, many: Kernel): readonly RowRange[] =>
    maxRows <= limit
      ? [{ maxRows, kernel: few }]
      : [
          { maxRows: limit, kernel: few },
          { maxRows, kernel: many },
        ];
  if (shape.head_dim % 4 !== 0) return [{ maxRows, kernel: attentionScalar(shape) }];
  if (choice.family === "register") {
    return ranked(SINGLE_ROWS, attentionRegister(shape, 1), attentionRegister(shape, 4));
  }
  if (choice.reference) return [{ maxRows, kernel: attentionTiled(shape) }];
  return ranked(DECODE_ROWS, attentionDecode(shape), attentionTiled(shape));
}
