/** Medians, and intervals by resampling. */
import { mulberry32, quantile } from "../numbers/sampling.ts";

/** NaN for an empty list. */
export function median(values: readonly number[]): number {
  return (
    quantile(
      [...values].sort((a, b) => a - b),
      0.5,
    ) ?? Number.NaN
  );
}

/**
 * The 95 % interval of the median, by resampling (percentile bootstrap, Efron 1979).
 * The same samples give the same interval.
 */
export function medianInterval(values: readonly number[], resamples = 2000): readonly [low: number, high: number] {
  if (values.length === 0) return [Number.NaN, Number.NaN];
  const random = mulberry32(0x5eed);
  const medians = Array.from({ length: resamples }, () =>
    median(values.map(() => values[Math.floor(random() * values.length)] as number)),
  ).sort((a, b) => a - b);
  return [quantile(medians, 0.025) ?? Number.NaN, quantile(medians, 0.975) ?? Number.NaN];
}

/** Minimum, median and maximum. */
export function spread(values: readonly number[]): {
  readonly min: number;
  readonly median: number;
  readonly max: number;
} {
  return { min: Math.min(...values), median: median(values), max: Math.max(...values) };
}
