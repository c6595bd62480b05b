/** Linear systems with a symmetric positive definite matrix. */
import { lowerIndex } from "./covariance.ts";

/**
 * Solves A·x = b by the Cholesky factorisation A = L·Lᵀ, row by row: d³/6 multiply-adds along contiguous rows.
 * @param matrix the lower triangle of A by rows; overwritten by L
 * @returns x, or null if A does not have full rank in float64: a row is a combination of earlier ones
 */
export function solvePositiveDefinite(matrix: Float64Array, b: Float64Array): Float64Array | null {
  const d = b.length;
  const x = Float64Array.from(b);
  for (let i = 0; i < d; i++) {
    const row = lowerIndex(i, 0);
    const diagonal = matrix[row + i] as number;
    for (let j = 0; j <= i; j++) {
      const other = lowerIndex(j, 0);
      let rest = matrix[row + j] as number;
      for (let k = 0; k < j; k++) rest -= (matrix[row + k] as number) * (matrix[other + k] as number);
      if (j < i) {
        matrix[row + j] = rest / (matrix[other + j] as number);
      } else {
        // The rest of the diagonal is the part of coordinate i that earlier coordinates do not explain.
        if (!(rest > d * Number.EPSILON * diagonal)) return null;
        matrix[row + i] = Math.sqrt(rest);
      }
    }
  }
  for (let i = 0; i < d; i++) {
    const row = lowerIndex(i, 0);
    let rest = x[i] as number;
    for (let k = 0; k < i; k++) rest -= (matrix[row + k] as number) * (x[k] as number);
    x[i] = rest / (matrix[row + i] as number);
  }
  for (let i = d - 1; i >= 0; i--) {
    const row = lowerIndex(i, 0);
    const value = (x[i] as number) / (matrix[row + i] as number);
    x[i] = value;
    for (let k = 0; k < i; k++) x[k] = (x[k] as number) - (matrix[row + k] as number) * value;
  }
  return x;
}
