/** Outputs of single heads, for edge masks: shaders/stages/head_sources.wgsl. */
import type { Kernel } from "../kernel.ts";
import { type WeightDtype, weightBytes, weightConditions } from "../weight-dtype.ts";

export interface HeadSourcesShape {
  /** H. */
  readonly heads: number;
  /** dh. */
  readonly head_dim: number;
  /** d: outputs of W_O. */
  readonly width: number;
  /** Strips in this part of W_O. */
  readonly strips: number;
  readonly dtype: WeightDtype;
  /** b_O / H is part of each output. */
  readonly bias: boolean;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
}

/**
 * z_h·W_O[h] (+ b_O/H) for `listed` heads, each into its slot of the source table. Args: `first_strip`, `bias`, `heads`
 * (vec4 of the stage table), `slot_stride` (vec4s).
 */
export function headSourcesKernel(shape: HeadSourcesShape, listed: number): Kernel {
  const { heads, head_dim, width, strips, dtype, bias, maxRows } = shape;
  const whole = strips === Math.ceil(width / 4);
  return {
    name: [
      `head_sources_${dtype}_${heads}x${head_dim}x${width}`,
      ...(whole ? [] : [`part${strips}`]),
      ...(bias ? ["bias"] : []),
      `m${maxRows}`,
    ].join("_"),
    shader: {
      entry: "stages/head_sources",
      conditions: { ...weightConditions(dtype), bias, vec4_heads: head_dim % 4 === 0 },
      constants: {
        HEAD_DIM: `${head_dim}u`,
        HEADS: `${heads}u`,
        GROUPS4: "0u",
        K4: `${Math.ceil((heads * head_dim) / 4)}u`,
        OUT4: `${Math.ceil(width / 4)}u`,
        STRIPS: `${strips}u`,
        MAX_ROWS: `${maxRows}u`,
      },
    },
    summation: "serial",
    workgroups: (rows) => [Math.ceil(strips / 64), Math.ceil(rows / 4), listed],
    cost: ({ rows }) => ({
      flops: 2 * rows * listed * head_dim * strips * 4,
      bytes: listed * (head_dim * strips * 4 * weightBytes(dtype) + rows * (head_dim + strips * 4) * 4),
    }),
  };
}
