/** Stages that map a row to another by a matrix and a constant, in float64: what can be multiplied into weights. */
import type { AffineStage, NeuronScaleStage } from "./stage.ts";

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

const none = new Float32Array(0);

/**
 * A stage in one layer as a map of rows, at its strength and alpha.
 * @param width of the site's rows
 * @returns null where a gate makes it no such map
 */
export function rowMapOf(stage: NeuronScaleStage | AffineStage, layer: number, width: number): RowMap | null {
  if (stage.kind === "neuron_scale") {
    const { scale, shift } = stage.values.get(layer) ?? {};
    return {
      kind: "scale",
      ...(scale && { gain: Float64Array.from(scale, (value) => 1 + stage.strength * (value - 1)) }),
      ...(shift && { constant: Float64Array.from(shift, (value) => stage.strength * value) }),
    };
  }
  const {
    direction = none,
    reference = none,
    v = none,
    u = none,
    c = none,
    bias = none,
  } = stage.values.get(layer) ?? {};
  if (stage.method === "addition") {
    const factor = stage.strength * stage.alpha;
    return { kind: "scale", constant: Float64Array.from(direction, (value) => factor * value) };
  }
  if (stage.gate !== "identity") return null;
  if (stage.method === "low_rank") return lowRankMap(stage.strength, width, { v, u, c, bias });
  const length = Math.hypot(...direction);
  const unit = Float64Array.from(direction, (value) => value / length);
  if (stage.method === "directional_ablation")
    return lowRankMap(stage.strength, width, { v: unit, u: unit, c: none, bias: none });
  const offset = unit.reduce((sum, value, i) => sum + value * (reference[i] ?? 0), 0);
  const added = Float64Array.from(direction, (value) => stage.alpha * value);
  return lowRankMap(stage.strength, width, { v: unit, u: unit, c: [offset], bias: added });
}

interface LowRank {
  readonly v: ArrayLike<number>;
  readonly u: ArrayLike<number>;
  readonly c: ArrayLike<number>;
  readonly bias: ArrayLike<number>;
}

/** h + s·(b − (h·Vᵀ − c)·U) = h·(I − Vᵀ·sU) + s·(b + c·U) */
function lowRankMap(strength: number, width: number, { v, u, c, bias }: LowRank): RowMap {
  const constant = Float64Array.from({ length: width }, (_, i) => {
    let sum = bias[i] ?? 0;
    for (let k = 0; k < c.length; k++) sum += (c[k] ?? 0) * (u[k * width + i] ?? 0);
    return strength * sum;
  });
  return { kind: "low_rank", v: Float64Array.from(v), u: Float64Array.from(u, (value) => strength * value), constant };
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
