/** Mean and covariance of vectors that come one by one, in float64. */

/** Index of entry (i, j), j ≤ i, in a lower triangle whose rows lie one after another. */
export function lowerIndex(i: number, j: number): number {
  return (i * (i + 1)) / 2 + j;
}

/**
 * Welford's update in matrix form (Chan, Golub and LeVeque 1983): it sums deviations from the mean so far, never raw
 * squares, so that entries in the thousands lose no digits. Holds d²/2 numbers, regardless of the count.
 */
export class StreamedCovariance {
  readonly mean: Float64Array;
  readonly #scatter: Float64Array;
  readonly #deviation: Float64Array;
  #count = 0;

  constructor(width: number) {
    this.mean = new Float64Array(width);
    this.#deviation = new Float64Array(width);
    this.#scatter = new Float64Array(lowerIndex(width, 0));
  }

  get count(): number {
    return this.#count;
  }

  /** @param vector `[width]`; d²/2 multiply-adds */
  add(vector: ArrayLike<number>): void {
    const { mean } = this;
    const deviation = this.#deviation;
    const scatter = this.#scatter;
    this.#count++;
    for (let i = 0; i < mean.length; i++) {
      deviation[i] = (vector[i] as number) - (mean[i] as number);
      mean[i] = (mean[i] as number) + (deviation[i] as number) / this.#count;
    }
    const share = (this.#count - 1) / this.#count;
    for (let i = 0, at = 0; i < mean.length; i++) {
      const scaled = share * (deviation[i] as number);
      for (let j = 0; j <= i; j++, at++) scatter[at] = (scatter[at] as number) + scaled * (deviation[j] as number);
    }
  }

  /** E[(x − μ)(x − μ)ᵀ] over all vectors so far, divided by n: the lower triangle by rows, see {@link lowerIndex}. */
  covariance(): Float64Array {
    return this.#scatter.map((sum) => sum / this.#count);
  }
}
