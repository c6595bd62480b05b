/** A line through samples. */

export interface Slope {
  /** Growth per round. */
  readonly perRound: number;
  /** Standard error of it. */
  readonly error: number;
}

/** The least-squares line through (round, value). */
export function slopeOf(points: readonly (readonly [round: number, value: number])[]): Slope {
  const count = points.length;
  const mean = (of: 0 | 1): number => points.reduce((sum, point) => sum + point[of], 0) / count;
  const [meanX, meanY] = [mean(0), mean(1)];
  const spread = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
  const perRound = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0) / spread;
  const rest = points.reduce((sum, [x, y]) => sum + (y - meanY - perRound * (x - meanX)) ** 2, 0);
  return { perRound, error: Math.sqrt(rest / Math.max(count - 2, 1) / spread) };
}
