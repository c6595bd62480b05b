/** Numbers of a stage in words. */

/** Four significant digits. */
export function numberText(value: number): string {
  return String(Number(value.toPrecision(4)));
}

/** Euclidean norm. */
export function normOf(values: Float32Array): number {
  return Math.hypot(...values);
}

/** Infinity if there are none. */
export function minimum(values: Iterable<number>): number {
  let least = Number.POSITIVE_INFINITY;
  for (const value of values) least = Math.min(least, value);
  return least;
}

/** Of numbers that are not negative; 0 if there are none. */
export function maximum(values: Iterable<number>): number {
  let most = 0;
  for (const value of values) most = Math.max(most, value);
  return most;
}
