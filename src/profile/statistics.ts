/** Medians, and intervals by resampling. */

export function median(values: readonly number[]): number {
  return quantile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}

/**
 * The interval in which the median of such samples lies 95 times of 100, by resampling (percentile bootstrap, Efron 1979).
 * The same samples give the same interval.
 */
export function medianInterval(values: readonly number[], resamples = 2000): readonly [low: number, high: number] {
  if (values.length === 0) return [Number.NaN, Number.NaN];
  const random = generator(0x5eed);
  const medians = Array.from({ length: resamples }, () =>
    median(values.map(() => values[Math.floor(random() * values.length)] as number)),
  ).sort((a, b) => a - b);
  return [quantile(medians, 0.025), quantile(medians, 0.975)];
}

/** Least, middle and greatest. */
export function spread(values: readonly number[]): {
  readonly min: number;
  readonly median: number;
  readonly max: number;
} {
  return { min: Math.min(...values), median: median(values), max: Math.max(...values) };
}

function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] ?? Number.NaN;
  const high = sorted[Math.ceil(at)] ?? Number.NaN;
  return low + (high - low) * (at - Math.floor(at));
}

/** Mulberry32: small, and good enough to choose samples. */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
