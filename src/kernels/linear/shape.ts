/** Linear layers: what their kernels must do, what follows from it, and what it costs. */
import type { Cost } from "../kernel.ts";
import { type WeightDtype, weightBytes } from "../weight-dtype.ts";
import type { LinearEpilogue } from "./epilogue.ts";

export interface LinearShape {
  /** Inputs, exact; a row of the input is ceil4(K) floats. */
  readonly K: number;
  /** Outputs of the whole matrix, exact; `gated`: both halves, each padded to whole strips (2·ceil4(f)). */
  readonly N: number;
  /** Strips in this part: ceil(N/4) unless the matrix is cut at the binding limit. Even for `gated`. */
  readonly strips: number;
  readonly dtype: WeightDtype;
  readonly epilogue: LinearEpilogue;
  readonly bias: boolean;
  /** Sites captured, out of {@link linearTaps}. */
  readonly taps: readonly string[];
  /** Values that neuron_scale stages edit, out of {@link linearLists}: args `record_stride` and a `list_` for each. */
  readonly edits?: readonly string[];
  /** Several stages may follow one another at one of these values. */
  readonly stacked?: boolean;
  /** Each sequence has a program of its own: a `list_` is the list's place in it. */
  readonly programs?: boolean;
  /** The value at mlp_out is kept in the source table, where arg `source` says. */
  readonly sourced?: boolean;
  /**
   * The sums of single heads are kept as well (class `serial`, the register kernels alone): args `heads`, the vec4 of their
   * list in the stage table, `head_count` and `slot_stride`. Inputs are H·dh, and dh is a multiple of 4, of 32 where
   * weights are quantised.
   */
  readonly heads?: {
    /** H. */
    readonly count: number;
    /** dh. */
    readonly head_dim: number;
    /** b/H is part of each. */
    readonly bias: boolean;
    /** How many are summed, for the cost. */
    readonly listed: number;
  };
  /** `qkv`: heads read variants of the input; arg `variant_stride`, and `variants`, one a group of head_dim outputs. */
  readonly grouped?: boolean;
  /** Rows are the step's out rows, packed in the input, instead of all rows. */
  readonly outs?: boolean;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
  /**
   * The kernel reads its shape from its args, so that the matrices of all models share one pipeline: for software devices,
   * which take longer to compile a kernel than to run it many times. Register kernels alone heed it, of weights that are
   * not quantised.
   */
  readonly anyShape?: boolean;
}

/** Width of a stored output row in vec4s, over the whole matrix; for `qkv` that of q. */
export function linearOutputWidth4(shape: Pick<LinearShape, "N" | "epilogue">): number {
  const { epilogue } = shape;
  if (epilogue.kind === "qkv") return Math.ceil((epilogue.heads * epilogue.headDim) / 4);
  const strips = Math.ceil(shape.N / 4);
  return epilogue.kind === "gated" ? strips / 2 : strips;
}

/**
 * Whether the kernels of a family can serve this shape's heads. Where they read different variants, two neighbouring
 * strips must belong to one head, and tiles count heads from the matrix's beginning, so it must not be cut.
 */
export function servesGroups({ grouped, epilogue, N, strips }: LinearShape): boolean {
  if (!grouped) return true;
  return epilogue.kind === "qkv" && epilogue.headDim % 8 === 0 && strips === Math.ceil(N / 4);
}

/** Tiles of 64 outputs; where heads read different variants, each begins a tile. */
export function columnTiles(shape: LinearShape): number {
  return shape.grouped ? headGroups(shape) * Math.ceil(headDim(shape) / 64) : Math.ceil(shape.strips / 16);
}

/** Groups of head_dim outputs that read one variant each: H queries, G keys, G values. */
export function headGroups({ epilogue }: LinearShape): number {
  return epilogue.kind === "qkv" ? epilogue.heads + 2 * epilogue.kvHeads : 0;
}

export function headDim({ epilogue }: LinearShape): number {
  return epilogue.kind === "qkv" ? epilogue.headDim : 0;
}

/**
 * What a whole layer computes and moves: flops of the product, the bias and the residual; activations and rotations, which have no agreed count, are left
 * out. The sums of single heads read their weights from a cache. Outputs of the last part of a cut matrix count with their
 * padding (at most three).
 */
export function linearCost({ K, N, strips, dtype, epilogue, bias, heads }: LinearShape, rows: number): Cost {
  const outputs = Math.min(N, strips * 4);
  const listed = heads?.listed ?? 0;
  const padded = Math.ceil(K / 4) * 4;
  const stored = rows * (epilogue.kind === "gated" ? outputs / 2 : outputs);
  const extra = (bias ? 1 : 0) + (epilogue.kind === "residual" ? 1 : 0);
  const moved = stored * (epilogue.kind === "residual" ? 2 : 1) + rows * padded + (bias ? outputs : 0);
  return {
    flops: rows * outputs * (2 * (K + listed * (heads?.head_dim ?? 0)) + extra),
    bytes: strips * 4 * padded * weightBytes(dtype) + 4 * (moved + listed * rows * outputs),
  };
}

/** The first half of a layer whose sums are split into that many parts: it writes every part. */
export function splitCost(shape: LinearShape, parts: number, rows: number): Cost {
  const { K, N, strips, dtype } = shape;
  const outputs = Math.min(N, strips * 4);
  const padded = Math.ceil(K / 4) * 4;
  return {
    flops: rows * outputs * 2 * K,
    bytes: strips * 4 * padded * weightBytes(dtype) + rows * padded * 4 + partialBytes(shape, parts, rows),
  };
}

/** The second half: it reads every part, and does what follows the sums. */
export function mergeCost(shape: LinearShape, parts: number, rows: number): Cost {
  const whole = linearCost(shape, rows);
  const first = splitCost(shape, parts, rows);
  const written = partialBytes(shape, parts, rows);
  const outputs = Math.min(shape.N, shape.strips * 4);
  return {
    flops: whole.flops - first.flops + rows * outputs * (parts - 1),
    bytes: whole.bytes - (first.bytes - written) + written,
  };
}

/** Bytes of the partial sums of a split layer. */
export function partialBytes({ strips }: Pick<LinearShape, "strips">, parts: number, rows: number): number {
  return parts * rows * strips * 16;
}
