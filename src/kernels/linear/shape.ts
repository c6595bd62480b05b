/** Linear layers: what is asked of their kernels, and what follows from it. */
import type { ActivationName } from "../../model-config.ts";

/**
 * How the matrix lies in GPU memory, in strips (src/formats/strips.ts, quantized-strips.ts); 16-bit types and quantised
 * weights are widened as they are read.
 */
export type WeightDtype = "f32" | "f16" | "bf16" | "q8" | "q4";

/** What becomes of the sums. Taps that each offers, in order: see {@link linearTaps}. */
export type LinearEpilogue =
  /** y = acc + b. */
  | { readonly kind: "store" }
  /** y = act(acc + b). */
  | { readonly kind: "activation"; readonly activation: ActivationName }
  /** y = residual + (acc + b). */
  | { readonly kind: "residual" }
  /** Strips alternate gate, up, gate, up …; y = act(gate) · up, half as wide. */
  | { readonly kind: "gated"; readonly activation: ActivationName }
  /** Outputs are H·dh queries, G·dh keys and G·dh values; q is stored, k and v go to the cache slots of their rows. */
  | {
      readonly kind: "qkv";
      /** H. */
      readonly heads: number;
      /** G. */
      readonly kvHeads: number;
      /** dh; even if `rope`. */
      readonly headDim: number;
      /** Rotate q and k by the table `rope` [position][dh/2] = (cos, sin); pairs are adjacent outputs. */
      readonly rope: boolean;
    };

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
}

const tapsOf = {
  store: [],
  activation: ["pre", "post"],
  residual: ["out"],
  gated: ["gate", "up", "post"],
  qkv: ["q", "k", "v"],
} as const satisfies Record<LinearEpilogue["kind"], readonly string[]>;

/** Names of the values that a linear kernel with this epilogue can capture. */
export function linearTaps(kind: LinearEpilogue["kind"]): readonly string[] {
  return tapsOf[kind];
}

const listsOf = {
  store: ["out"],
  activation: ["pre", "post"],
  residual: ["out"],
  gated: ["gate", "up", "post"],
  qkv: [],
} as const satisfies Record<LinearEpilogue["kind"], readonly string[]>;

/** Names of the values that stages can edit in a linear kernel with this epilogue. */
export function linearLists(kind: LinearEpilogue["kind"]): readonly string[] {
  return listsOf[kind];
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
