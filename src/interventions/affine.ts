/** The methods of `affine` as the one form that runs: h ← h + s·(b − g(h·Vᵀ − c)·U), in float64. */
import { dot } from "../numbers/dot.ts";
import type { AffineStage, AffineValues } from "./stage.ts";

export interface LoweredAffine {
  /** Rows of V and U, `[r]` of `[d]` each; none for `addition`. */
  readonly v: readonly Float64Array[];
  readonly u: readonly Float64Array[];
  /** `[r]` */
  readonly c: Float64Array;
  /** `[d]`: what is added, times alpha where `usesAlpha`. */
  readonly b: Float64Array | undefined;
}

/** r: how many coordinates of the row a stage reads. */
export function rankOf({ method, values }: AffineStage, layer: number, width: number): number {
  if (method === "addition") return 0;
  return method === "low_rank" ? (values.get(layer)?.v?.length ?? 0) / width : 1;
}

/** Whether something is added, and whether alpha multiplies it. */
export function addsOf({ method, values }: AffineStage, layer: number): "nothing" | "bias" | "alpha" {
  if (method === "directional_ablation") return "nothing";
  if (method === "low_rank") return values.get(layer)?.bias ? "bias" : "nothing";
  return "alpha";
}

/** @param values the stage's tensors at one layer */
export function lowerAffine(method: AffineStage["method"], values: AffineValues, width: number): LoweredAffine {
  const direction = values.direction && Float64Array.from(values.direction);
  switch (method) {
    case "addition":
      return { v: [], u: [], c: new Float64Array(0), b: direction };
    case "directional_ablation":
    case "ace": {
      const unit = normalised(direction ?? new Float64Array(width));
      const at = method === "ace" ? dot(unit, values.reference ?? new Float32Array(width)) : 0;
      return { v: [unit], u: [unit], c: Float64Array.of(at), b: method === "ace" ? direction : undefined };
    }
    case "low_rank": {
      const v = rowsOf(values.v ?? new Float32Array(0), width);
      const c = values.c ? Float64Array.from(values.c) : new Float64Array(v.length);
      return {
        v,
        u: rowsOf(values.u ?? new Float32Array(0), width),
        c,
        b: values.bias && Float64Array.from(values.bias),
      };
    }
  }
}

function normalised(vector: Float64Array): Float64Array {
  const length = Math.sqrt(dot(vector, vector));
  return vector.map((value) => value / length);
}

function rowsOf(matrix: Float32Array, width: number): readonly Float64Array[] {
  return Array.from({ length: matrix.length / width }, (_, row) =>
    Float64Array.from(matrix.subarray(row * width, (row + 1) * width)),
  );
}
