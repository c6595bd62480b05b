/**
 * The methods of `affine`, a record each. All lower to h ← h + s·(b − g(h·Vᵀ − c)·U), in float64; the formulas with their
 * sources are in docs/bundle-format.md. A new method is a record here: everything else reads it.
 */
import { dot } from "../../numbers/dot.ts";
import { normOf, numberText } from "../describe-values.ts";
import type { LoweredRow, TensorSpec } from "./stage-kind.ts";

/** One layer's tensors, as the methods name them. */
export interface AffineValues {
  /** `[d]` */
  readonly direction?: Float32Array;
  /** `[d]`: a point whose coordinate along the direction the stage sets; ace. */
  readonly reference?: Float32Array;
  /** `[r, d]`, row-major; low_rank. */
  readonly v?: Float32Array;
  /** `[r, d]`, row-major; low_rank. */
  readonly u?: Float32Array;
  /** `[r]`, zeros if absent. */
  readonly c?: Float32Array;
  /** `[d]`, zeros if absent. */
  readonly bias?: Float32Array;
}

export interface AffineMethod {
  readonly tensors: Readonly<Partial<Record<keyof AffineValues, TensorSpec>>>;
  /** α multiplies what is added; a method without one adds it as it is. */
  readonly alpha: boolean;
  /** Something is taken away, on which a gate can act. */
  readonly gates: boolean;
  /** What it does, for people; follows the method's name. */
  readonly says: string;
  /** r: how many coordinates of a row it reads. */
  rank(values: AffineValues, width: number): number;
  /** Whether it adds anything. */
  adds(values: AffineValues): boolean;
  lower(values: AffineValues, width: number): LoweredRow;
  /** A layer's tensors in words. */
  describe(values: AffineValues, width: number): readonly string[];
}

const direction = { shape: "row", nonzero: true } as const;

/** A row's coordinate along a direction is taken away. */
const directionalAblation: AffineMethod = {
  tensors: { direction },
  alpha: false,
  gates: true,
  says: "takes a direction away",
  rank: () => 1,
  adds: () => false,
  lower(values) {
    const unit = normalised(given(values, "direction"));
    return { v: [unit], u: [unit], c: Float64Array.of(0), b: undefined };
  },
  describe: describeDirection,
};

/** α times a direction is added: contrastive activation addition, control vectors. */
const addition: AffineMethod = {
  tensors: { direction: { shape: "row" } },
  alpha: true,
  gates: false,
  says: "adds a direction",
  rank: () => 0,
  adds: () => true,
  lower: (values) => ({ v: [], u: [], c: new Float64Array(0), b: float64(given(values, "direction")) }),
  describe: describeDirection,
};

/** Affine concept editing: a row's coordinate along r becomes the reference's, plus α·r. */
const ace: AffineMethod = {
  tensors: { direction, reference: { shape: "row" } },
  alpha: true,
  gates: true,
  says: "sets the coordinate along a direction",
  rank: () => 1,
  adds: () => true,
  lower(values) {
    const r = given(values, "direction");
    const unit = normalised(r);
    return { v: [unit], u: [unit], c: Float64Array.of(dot(unit, given(values, "reference"))), b: float64(r) };
  },
  describe(values) {
    const along = dot(normalised(given(values, "direction")), given(values, "reference"));
    return [...describeDirection(values), `reference at ${numberText(along)} along it`];
  },
};

/** Any edit of few directions: LEACE, LoReFT. */
const lowRank: AffineMethod = {
  tensors: {
    v: { shape: "rows" },
    u: { shape: "rows" },
    c: { shape: "rank", optional: true },
    bias: { shape: "row", optional: true },
  },
  alpha: false,
  gates: true,
  says: "edits a few directions",
  rank: ({ v }, width) => (v?.length ?? 0) / width,
  adds: ({ bias }) => bias !== undefined,
  lower(values, width) {
    const v = rowsOf(given(values, "v"), width);
    const { c, bias } = values;
    return {
      v,
      u: rowsOf(given(values, "u"), width),
      c: c ? float64(c) : new Float64Array(v.length),
      b: bias && float64(bias),
    };
  },
  describe(values, width) {
    const { c, bias } = values;
    return [
      `rank ${lowRank.rank(values, width)}`,
      ...(c ? ["with thresholds"] : []),
      ...(bias ? [`bias of norm ${numberText(normOf(bias))}`] : []),
    ];
  },
};

export const affineMethods = {
  directional_ablation: directionalAblation,
  addition,
  ace,
  low_rank: lowRank,
} as const satisfies Readonly<Record<string, AffineMethod>>;

/** A method of `affine`: which tensors it has and what they mean. */
export type AffineMethodName = keyof typeof affineMethods;

/** In the order in which errors list them. */
export const affineMethodNames = Object.keys(affineMethods) as readonly AffineMethodName[];

/** Names of the methods that have an alpha. */
export const methodsWithAlpha = affineMethodNames.filter((name) => affineMethods[name].alpha);

function describeDirection(values: AffineValues): readonly string[] {
  return [`direction of norm ${numberText(normOf(given(values, "direction")))}`];
}

/** A tensor that bundles are refused without. */
function given(values: AffineValues, name: keyof AffineValues): Float32Array {
  const tensor = values[name];
  if (!tensor) throw new Error(`An affine stage lacks its ${name}`);
  return tensor;
}

function float64(vector: Float32Array): Float64Array {
  return Float64Array.from(vector);
}

function normalised(vector: Float32Array): Float64Array {
  const length = Math.sqrt(dot(vector, vector));
  return Float64Array.from(vector, (value) => value / length);
}

function rowsOf(matrix: Float32Array, width: number): readonly Float64Array[] {
  return Array.from({ length: matrix.length / width }, (_, row) =>
    float64(matrix.subarray(row * width, (row + 1) * width)),
  );
}
