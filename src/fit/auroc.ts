/** How well a number separates two classes. */

/**
 * The area under the ROC curve of the positive class against the negative, by mid-ranks: the share of pairs in which the
 * positive is greater, ties counting half (Mann and Whitney 1947). NaN for an empty class.
 * @param positive,negative sorted in place
 */
export function auroc(positive: Float32Array, negative: Float32Array): number {
  positive.sort();
  negative.sort();
  let below = 0;
  let upTo = 0;
  let wins = 0;
  for (const value of positive) {
    while (below < negative.length && (negative[below] as number) < value) below++;
    while (upTo < negative.length && (negative[upTo] as number) <= value) upTo++;
    wins += below + (upTo - below) / 2;
  }
  return wins / (positive.length * negative.length);
}

/** Standard deviation of the AUROC if the classes do not differ: √((n₊ + n₋ + 1) / (12 n₊ n₋)), without ties. */
export function aurocNullDeviation(positives: number, negatives: number): number {
  return Math.sqrt((positives + negatives + 1) / (12 * positives * negatives));
}

/** AurA's factor: α = 1 − 2(AUROC − ½) above ½, else 1 (Suau et al. 2024, arXiv 2407.12824). */
export function auraFactor(area: number): number {
  return area > 0.5 ? 1 - 2 * (area - 0.5) : 1;
}
