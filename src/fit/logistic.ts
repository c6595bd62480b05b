/** Logistic regression with an L2 penalty, as scikit-learn's default fits it (C = 1 is `l2` = 1), in float64. */
import { dot } from "../numbers/dot.ts";
import { conjugateGradient } from "./conjugate-gradient.ts";

export interface LogisticModel {
  readonly weight: Float64Array;
  readonly bias: number;
}

export interface LogisticOptions {
  /** Weight of ½‖w‖² against the sum of losses; the bias is not penalised. Default 1. */
  readonly l2?: number;
}

/** Maximum number of Newton steps; about ten are usual. */
const MOST_STEPS = 100;

/**
 * Minimises Σ log(1 + exp(−yᵢ(w·xᵢ + b))) + ½·l2·‖w‖², by Newton's method with steps from conjugate gradients, halved until
 * the objective falls.
 * @param rows `[n][d]`
 * @param labels true for the positive class
 */
export function fitLogistic(
  rows: readonly Float32Array[],
  labels: readonly boolean[],
  { l2 = 1 }: LogisticOptions = {},
): LogisticModel {
  const width = rows[0]?.length ?? 0;
  /** Weights, then the bias. */
  let point = new Float64Array(width + 1);
  let value = objective(point);
  for (let step = 0; step < MOST_STEPS; step++) {
    const chances = rows.map((row) => sigmoid(score(point, row)));
    const gradient = point.map((w, j) => (j < width ? l2 * w : 0));
    rows.forEach((row, i) => addScaled(gradient, row, (chances[i] as number) - (labels[i] ? 1 : 0)));
    const curvatures = chances.map((p) => p * (1 - p));
    const diagonal = new Float64Array(width + 1).fill(l2, 0, width);
    rows.forEach((row, i) => {
      const c = curvatures[i] as number;
      for (let j = 0; j < width; j++) diagonal[j] = (diagonal[j] as number) + c * (row[j] as number) ** 2;
      diagonal[width] = (diagonal[width] as number) + c;
    });
    const hessian = (v: Float64Array): Float64Array => {
      const image = v.map((each, j) => (j < width ? l2 * each : 0));
      rows.forEach((row, i) => addScaled(image, row, (curvatures[i] as number) * score(v, row)));
      return image;
    };
    const move = conjugateGradient(hessian, gradient, { diagonal, tolerance: 1e-8, mostSteps: 500 });
    const fall = dot(gradient, move);
    if (fall <= 1e-12 * Math.max(1, Math.abs(value))) break;
    let rate = 1;
    let next = point;
    let reached = value;
    do {
      next = point.map((w, j) => w - rate * (move[j] as number));
      reached = objective(next);
      rate /= 2;
    } while (reached > value - 0.25 * rate * fall && rate > 1e-6);
    if (reached >= value) break;
    point = next;
    value = reached;
  }
  return { weight: point.slice(0, width), bias: point[width] as number };

  function objective(at: Float64Array): number {
    let sum = 0;
    rows.forEach((row, i) => {
      const margin = score(at, row) * (labels[i] ? 1 : -1);
      // log(1 + exp(−m)) without overflow.
      sum += Math.max(0, -margin) + Math.log1p(Math.exp(-Math.abs(margin)));
    });
    for (let j = 0; j < width; j++) sum += 0.5 * l2 * (at[j] as number) ** 2;
    return sum;
  }
}

/** w·x + b, for weights followed by the bias. */
function score(point: Float64Array, row: Float32Array): number {
  return dot(row, point) + (point[row.length] as number);
}

function addScaled(into: Float64Array, row: Float32Array, factor: number): void {
  for (let j = 0; j < row.length; j++) into[j] = (into[j] as number) + factor * (row[j] as number);
  into[row.length] = (into[row.length] as number) + factor;
}

function sigmoid(x: number): number {
  return x >= 0 ? 1 / (1 + Math.exp(-x)) : Math.exp(x) / (1 + Math.exp(x));
}
