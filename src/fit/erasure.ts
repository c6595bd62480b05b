/**
 * Least-squares concept erasure of one binary concept (LEACE: Belrose et al. 2023, arXiv 2306.03819).
 *
 * LEACE is x ← x − W⁺·P·W·(x − μ), with W = Σ^(−1/2) and P the orthogonal projection onto W·Σ_xz. For two classes Σ_xz is a
 * multiple of δ = r⁺ − r⁻, so P has rank one, and the whole is
 *
 *     x ← x − δ·(v·(x − μ)),   v = Σ⁻¹δ / (δᵀΣ⁻¹δ)
 *
 * One linear system replaces an eigendecomposition. Because v·δ = 1, the class means are equal afterwards, and
 * then no linear classifier does better than a constant; that holds for every v of that scale, and among these this one
 * changes x least. If Σ is estimated from few sentences, it is shrunk towards its diagonal.
 */
import { dot } from "../numbers/dot.ts";
import { solvePositiveDefinite } from "./cholesky.ts";
import { lowerIndex, type StreamedCovariance } from "./covariance.ts";

/** x ← x − u·(v·x − c), and its measurements. */
export interface Erasure {
  /** `[d]`; v·u = 1, so that v·x − c is 1 between the means of the classes. */
  readonly v: Float64Array;
  /** `[d]`: δ. */
  readonly u: Float64Array;
  /** λ in (1 − λ)·Σ + λ·diag(Σ). */
  readonly shrinkage: number;
  /** E‖x′ − x‖² / E‖x − μ‖² over the sentences: how much of the variance the edit removes. */
  readonly moved: number;
  /** The same for the orthogonal projection along δ: what directional ablation about the mean would remove. */
  readonly movedByAblation: number;
}

/**
 * @param statistics of all vectors of both classes
 * @param difference δ `[d]`, mean of the positive class minus mean of the negative class; not zero
 * @param shrinkage λ from 0 (LEACE as published) to 1 (variances only), or `auto`: see {@link automaticShrinkage}
 * @returns null if the shrunk covariance does not have full rank: too few vectors for λ = 0
 */
export function eraseDifference(
  statistics: StreamedCovariance,
  difference: Float64Array,
  shrinkage: number | "auto",
): Erasure | null {
  const d = difference.length;
  const covariance = statistics.covariance();
  const deviations = Float64Array.from(difference, (_, i) => Math.sqrt(covariance[lowerIndex(i, i)] as number));
  const correlation = correlationOf(covariance, deviations);
  const lambda = shrinkage === "auto" ? automaticShrinkage(correlation, deviations, statistics.count) : shrinkage;
  for (let i = 0; i < d; i++) {
    for (let j = 0; j < i; j++) {
      const at = lowerIndex(i, j);
      correlation[at] = (1 - lambda) * (correlation[at] as number);
    }
  }
  // In units of each coordinate's standard deviation, so that a residual stream's few huge coordinates do not dominate.
  const solved = solvePositiveDefinite(correlation, difference.map(perDeviation(deviations)));
  if (!solved) return null;
  const weights = solved.map(perDeviation(deviations));
  const scale = dot(weights, difference);
  const v = weights.map((weight) => weight / scale);
  const spread = deviations.reduce((sum, deviation) => sum + deviation * deviation, 0);
  const length = dot(difference, difference);
  const variance = (along: Float64Array) => quadraticForm(covariance, along);
  return {
    v,
    u: difference,
    shrinkage: lambda,
    moved: (length * variance(v)) / spread,
    movedByAblation: variance(difference) / length / spread,
  };
}

/**
 * How far to shrink n vectors' correlations: the oracle approximating shrinkage of Chen, Wiesel, Eldar and Hero 2010
 * (IEEE Trans. Signal Process. 58, eq. 23), which falls with n and rises with d, applied to the correlation matrix.
 */
function automaticShrinkage(correlation: Float64Array, deviations: Float64Array, count: number): number {
  const d = deviations.reduce((sum, deviation) => sum + (deviation > 0 ? 1 : 0), 0);
  let squares = 0;
  for (let i = 0, at = 0; i < deviations.length; i++) {
    for (let j = 0; j < i; j++, at++) squares += 2 * (correlation[at] as number) ** 2;
    if ((deviations[i] as number) > 0) squares += 1;
    at++;
  }
  const excess = squares - d;
  if (!(excess > 0)) return 1;
  return Math.min(1, ((1 - 2 / d) * squares + d * d) / ((count + 1 - 2 / d) * excess));
}

/** The correlation matrix; a coordinate that never changes correlates with none. */
function correlationOf(covariance: Float64Array, deviations: Float64Array): Float64Array {
  const correlation = new Float64Array(covariance.length);
  for (let i = 0, at = 0; i < deviations.length; i++) {
    for (let j = 0; j < i; j++, at++) {
      const scale = (deviations[i] as number) * (deviations[j] as number);
      correlation[at] = scale > 0 ? (covariance[at] as number) / scale : 0;
    }
    correlation[at++] = 1;
  }
  return correlation;
}

function perDeviation(deviations: Float64Array): (value: number, i: number) => number {
  return (value, i) => ((deviations[i] as number) > 0 ? value / (deviations[i] as number) : 0);
}

function quadraticForm(lower: Float64Array, x: Float64Array): number {
  let sum = 0;
  for (let i = 0, at = 0; i < x.length; i++) {
    for (let j = 0; j < i; j++, at++) sum += 2 * (lower[at] as number) * (x[i] as number) * (x[j] as number);
    sum += (lower[at++] as number) * (x[i] as number) ** 2;
  }
  return sum;
}
