/** Confidence intervals by resampling the units that a number was measured on (Efron 1979). */
import { mulberry32, quantile } from "../numbers/sampling.ts";

/** A measured number and its 95 % interval; no interval if it was measured on a single unit. */
export interface Estimate {
  /** The measured number. */
  readonly value: number;
  /** Lower end of the 95 % interval; null if there is no interval. */
  readonly low: number | null;
  /** Upper end of the 95 % interval; null if there is no interval. */
  readonly high: number | null;
}

/** A statistic of units: texts, or continuations. */
export type Statistic = (units: ArrayLike<number>) => number;

const RESAMPLES = 2000;

/**
 * Estimates of several statistics over the same units. All see the same resamples, so that a difference is paired
 * if a unit holds both sides. Percentile bootstrap; equal seeds give equal intervals.
 * @param count number of units
 * @param statistics each takes indices of units, which may repeat
 */
export function bootstrap<Name extends string>(
  count: number,
  statistics: Readonly<Record<Name, Statistic>>,
  seed = 0,
): Readonly<Record<Name, Estimate>> {
  const names = Object.keys(statistics) as Name[];
  const all = Int32Array.from({ length: count }, (_, i) => i);
  const drawn = names.map(() => new Float64Array(count > 1 ? RESAMPLES : 0));
  const random = mulberry32(seed);
  const sample = new Int32Array(count);
  for (let i = 0; count > 1 && i < RESAMPLES; i++) {
    for (let unit = 0; unit < count; unit++) sample[unit] = Math.floor(random() * count);
    names.forEach((name, n) => {
      (drawn[n] as Float64Array)[i] = statistics[name](sample);
    });
  }
  const estimates = names.map((name, n): [Name, Estimate] => {
    const sorted = (drawn[n] as Float64Array).sort();
    return [name, { value: statistics[name](all), low: quantile(sorted, 0.025), high: quantile(sorted, 0.975) }];
  });
  return Object.fromEntries(estimates) as Record<Name, Estimate>;
}
