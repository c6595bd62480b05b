/** Solutions of symmetric positive (semi-)definite systems through products with the matrix alone. */
import { dot } from "../numbers/dot.ts";

export interface ConjugateGradientOptions {
  /** Diagonal of the matrix, which scales residuals (Jacobi); default: ones. */
  readonly diagonal?: Float64Array;
  /** Final residual relative to the first; default 1e-10. */
  readonly tolerance?: number;
  /** Maximum number of iterations; default: twice the number of unknowns, at least 50. */
  readonly mostSteps?: number;
}

/**
 * x with A·x = b by preconditioned conjugate gradients (Hestenes and Stiefel 1952), float64, from x = 0. For a singular A
 * whose range holds b, the solution lies in that range.
 * @param apply returns A·v in a fresh array
 */
export function conjugateGradient(
  apply: (v: Float64Array) => Float64Array,
  b: Float64Array,
  { diagonal, tolerance = 1e-10, mostSteps = Math.max(50, 2 * b.length) }: ConjugateGradientOptions = {},
): Float64Array {
  const x = new Float64Array(b.length);
  const residual = b.slice();
  const scaled = (): Float64Array =>
    residual.map((value, i) => (diagonal && (diagonal[i] as number) > 0 ? value / (diagonal[i] as number) : value));
  let z = scaled();
  let direction = z.slice();
  let size = dot(residual, z);
  const enough = tolerance * tolerance * size;
  for (let step = 0; step < mostSteps && size > enough; step++) {
    const image = apply(direction);
    const curvature = dot(direction, image);
    // The direction lies in the null space, up to rounding: x cannot be improved.
    if (curvature <= 0) break;
    const rate = size / curvature;
    for (let i = 0; i < x.length; i++) {
      x[i] = (x[i] as number) + rate * (direction[i] as number);
      residual[i] = (residual[i] as number) - rate * (image[i] as number);
    }
    z = scaled();
    const next = dot(residual, z);
    const kept = next / size;
    direction = direction.map((value, i) => (z[i] as number) + kept * value);
    size = next;
  }
  return x;
}
