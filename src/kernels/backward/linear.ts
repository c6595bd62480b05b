/** Gradient with respect to the input of a linear layer: shaders/backward/linear.wgsl. */
import type { Kernel } from "../kernel.ts";
import { isQuantised, type WeightDtype, weightBytes, weightConditions } from "../weight-dtype.ts";

/** Outputs [first, end) of a matrix. */
export type OutputSpan = readonly [first: number, end: number];

export interface BackwardLinearShape {
  /** Inputs; a row of the result is ceil4(K) floats. */
  readonly K: number;
  /** Outputs of the whole matrix; a row of dy is ceil4(N) floats. */
  readonly N: number;
  /** Strips in this part. */
  readonly strips: number;
  readonly dtype: WeightDtype;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
  /** See `LinearShape`. */
  readonly anyShape?: boolean;
  readonly reads: /** dx of each variant of the input, from the outputs that were made from it: as many spans for each. */
    | { readonly kind: "spans"; readonly variants: readonly (readonly OutputSpan[])[] }
    /** dy has a variant for each head, and input k is of head k / head_dim. */
    | { readonly kind: "heads"; readonly heads: number; readonly head_dim: number };
}

/**
 * dx = dy·W, f32 rows. Args: `first_strip`; `accumulate` (1: add to the output); `grad_stride` and `out_stride`, vec4s
 * from one variant to the next; for spans `spans` ({@link spanTable}).
 * @param rows for which it is chosen; it serves any number, in the same order of summation
 */
export function backwardLinear(shape: BackwardLinearShape, rows: number): Kernel {
  const { K, N, strips, dtype, maxRows, reads } = shape;
  const [k4, n4] = [Math.ceil(K / 4), Math.ceil(N / 4)];
  const anyShape = shape.anyShape === true && !isQuantised(dtype);
  const { heads, head_dim } = reads.kind === "heads" ? reads : { heads: 1, head_dim: 1 };
  const each8 = rows > 4;
  const spans = reads.kind === "spans" ? reads.variants.flat() : [];
  const each = reads.kind === "spans" ? (reads.variants[0]?.length ?? 0) : 0;
  const ragged = spans.some(([first, end]) => first % 4 !== 0 || (end % 4 !== 0 && end !== N));
  const mixed = reads.kind === "heads" && reads.head_dim % 4 !== 0;
  const width = spans.reduce((sum, [first, end]) => sum + end - first, 0);
  const variants = reads.kind === "spans" ? reads.variants.length : 1;
  return {
    name: [
      `backward_linear${each8 ? 8 : 4}_${dtype}_${K}x${N}_part${strips}`,
      reads.kind === "heads" ? `heads${reads.heads}x${reads.head_dim}` : `spans${each}of${spans.length}`,
      ragged ? "ragged" : "",
      `m${maxRows}`,
    ]
      .filter((word) => word !== "")
      .join("_"),
    shader: {
      entry: "backward/linear",
      conditions: { ...weightConditions(dtype), [reads.kind]: true, ragged, mixed, rows_8: each8, any_shape: anyShape },
      constants: {
        ...(!anyShape && { K4: `${k4}u`, N4: `${n4}u`, STRIPS: `${strips}u` }),
        ...(!anyShape && { HEADS: `${heads}u`, HEAD_DIM: `${head_dim}u` }),
        SPANS: `${each}u`,
        SPAN_TABLE: `${spans.length}u`,
        ROWS: each8 ? "8u" : "4u",
        MAX_ROWS: `${maxRows}u`,
      },
    },
    ...(anyShape && { args: { k4, n4, strips, heads, head_dim } }),
    summation: "transposed_serial",
    workgroups: (m) => [Math.ceil(k4 / 32), Math.ceil(m / (each8 ? 8 : 4)), variants],
    cost: ({ rows: m }) => {
      const outputs = reads.kind === "heads" ? 4 * strips : Math.min(width, 4 * strips);
      return {
        flops: 2 * m * outputs * K,
        bytes: 16 * strips * k4 * weightBytes(dtype) + 4 * m * (outputs + variants * K),
      };
    },
  };
}

/** The value of `args.spans`. */
export function spanTable(variants: readonly (readonly OutputSpan[])[]): readonly number[] {
  return variants.flat().flatMap(([first, end]) => [first, end, 0, 0]);
}
