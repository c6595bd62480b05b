/** What an adapter adds to a stored matrix: a product of two thin matrices, laid out as the matrix is stored. */

/** `delta[row][column] = scale · Σ_k left[row][k] · right[k][column]`. */
export interface LowRank {
  readonly rank: number;
  /** Columns of the stored matrix. */
  readonly columns: number;
  readonly scale: number;
  /** `[rows][rank]` */
  readonly left: Float32Array;
  /** `[rank][columns]` */
  readonly right: Float32Array;
}

/** `[rows][columns]` to `[columns][rows]`. */
export function transposed(values: Float32Array, rows: number, columns: number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = values[row * columns + column] as number;
    }
  }
  return result;
}

/**
 * Adds products to consecutive elements of a stored matrix. Sums are in float64; each result is rounded once.
 * @param values elements [first, first + values.length) of the matrix, in place
 */
export function addProducts(values: Float32Array, first: number, products: readonly LowRank[]): void {
  const columns = products[0]?.columns ?? 0;
  const sums = new Float64Array(columns);
  for (let at = 0; at < values.length; ) {
    const row = Math.floor((first + at) / columns);
    const from = first + at - row * columns;
    const to = Math.min(columns, from + values.length - at);
    for (let column = from; column < to; column++) sums[column] = values[at + column - from] as number;
    for (const { rank, scale, left, right } of products) {
      for (let k = 0; k < rank; k++) {
        const factor = scale * (left[row * rank + k] as number);
        if (factor === 0) continue;
        const offset = k * columns;
        for (let column = from; column < to; column++) {
          sums[column] = (sums[column] as number) + factor * (right[offset + column] as number);
        }
      }
    }
    for (let column = from; column < to; column++) values[at + column - from] = sums[column] as number;
    at += to - from;
  }
}
