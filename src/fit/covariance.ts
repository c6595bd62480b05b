/** Mean and covariance of vectors that come one by one, in float64. */

/** Index of entry (i, j), j ≤ i, where the rows of a lower triangle stand one behind another. */
export function lowerIndex(i: number, j: number): number {
  return (i * (i + 1)) / 2 + j;
}

/**
 * Welford's update in matrix form (Chan, Golub and LeVeque 1983): deviations from the mean so far are summed, never raw
 * squares, so that a stream with entries in the thousands loses no digits. Holds d²/2 numbers, whatever has come.
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

  /** E[(x − μ)(x − μ)ᵀ] over what has come, divided by n: the lower triangle by rows, see {@link lowerIndex}. */
  covariance(): Float64Array {
    return this.#scatter.map((sum) => sum / this.#count);
  }
}
