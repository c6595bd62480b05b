/** Stages that map a row to another by a matrix and a constant, in float64: what can be multiplied into weights. */
import { kindOf } from "./kinds/kinds.ts";
import type { SiteStage } from "./stage.ts";

/** row ← row·A + t, where A scales each element, or takes away what lies along a few directions. */
export type RowMap =
  | {
      readonly kind: "scale";
      /** Absent: ones. */
      readonly gain?: Float64Array;
      /** Absent: zeros. */
      readonly constant?: Float64Array;
    }
  | {
      /** A = I − Vᵀ·U; v and u are `[r, n]`, row-major. */
      readonly kind: "low_rank";
      readonly v: Float64Array;
      readonly u: Float64Array;
      readonly constant: Float64Array;
    };

/**
 * A stage in one layer as a map of rows, at its strength and alpha.
 * @param width of the site's rows
 * @returns null if a gate makes it another kind of map
 */
export function rowMapOf(stage: SiteStage, layer: number, width: number): RowMap | null {
  const { lowering } = kindOf(stage);
  const values = stage.values.get(layer) ?? {};
  const s = stage.strength;
  if (lowering.form === "elements") {
    const { scale, shift } = lowering.lower(stage, values);
    return {
      kind: "scale",
      ...(scale && { gain: Float64Array.from(scale, (value) => 1 + s * (value - 1)) }),
      ...(shift && { constant: Float64Array.from(shift, (value) => s * value) }),
    };
  }
  const { v, u, c, b } = lowering.lower(stage, values, width);
  const factor = lowering.adds(stage, values) === "alpha" && "alpha" in stage ? stage.alpha : 1;
  const added = b ? b.map((value) => factor * value) : new Float64Array(width);
  if (v.length === 0) return { kind: "scale", constant: added.map((value) => s * value) };
  if (lowering.gate(stage) !== "identity") return null;
  // h + s·(b − (h·Vᵀ − c)·U) = h·(I − Vᵀ·sU) + s·(b + c·U)
  const constant = added.map((value, i) => s * u.reduce((sum, row, k) => sum + (c[k] ?? 0) * (row[i] ?? 0), value));
  return { kind: "low_rank", v: joined(v), u: joined(u).map((value) => s * value), constant };
}

function joined(rows: readonly Float64Array[]): Float64Array {
  return Float64Array.from(rows.flatMap((row) => [...row]));
}

/** Does a map only add? Then it commutes with every other that only adds. */
export function isTranslation(map: RowMap): boolean {
  return map.kind === "scale" && map.gain === undefined;
}

/** Does a map add anything, so that it needs a bias? */
export function addsConstant({ constant }: RowMap): boolean {
  return constant?.some((value) => value !== 0) ?? false;
}

/**
 * Maps a row in place.
 * @param constants false: by the matrices alone, as a row of weights is
 */
export function applyMaps(row: Float64Array, maps: readonly RowMap[], constants: boolean): void {
  for (const map of maps) {
    if (map.kind === "low_rank") takeAway(row, map.v, map.u);
    else if (map.gain) multiply(row, map.gain);
    if (constants && map.constant) add(row, map.constant);
  }
}

function takeAway(row: Float64Array, v: Float64Array, u: Float64Array): void {
  const width = row.length;
  const rank = v.length / width;
  // All coordinates are taken of the unedited row.
  const along = Float64Array.from({ length: rank }, (_, k) => {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += (row[i] as number) * (v[k * width + i] as number);
    return sum;
  });
  for (let k = 0; k < rank; k++) {
    const coordinate = along[k] as number;
    for (let i = 0; i < width; i++) row[i] = (row[i] as number) - coordinate * (u[k * width + i] as number);
  }
}

function multiply(row: Float64Array, factors: Float64Array): void {
  for (let i = 0; i < row.length; i++) row[i] = (row[i] as number) * (factors[i] as number);
}

export function add(row: Float64Array, addends: Float64Array): void {
  for (let i = 0; i < row.length; i++) row[i] = (row[i] as number) + (addends[i] as number);
}
