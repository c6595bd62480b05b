/** Intervals by resampling: of a mean against the normal one, of differences in pairs, and of nothing to resample. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bootstrap } from "../../src/evaluate/bootstrap.ts";
import { normal } from "../reference/draw.ts";

const meanOf = (values: ArrayLike<number>) => (units: ArrayLike<number>) => {
  let sum = 0;
  for (let i = 0; i < units.length; i++) sum += values[units[i] as number] as number;
  return sum / units.length;
};

test("the interval of a mean is that of its standard error", () => {
  const values = normal(1, "values", 400, 2, 10);
  const mean = meanOf(values)(values.map((_, i) => i));
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length);
  const { value, low, high } = bootstrap(400, { mean: meanOf(values) }).mean;
  assert.is(value, mean);
  const half = (1.96 * deviation) / 20;
  assert.ok(Math.abs((high ?? 0) - mean - half) < 0.1 * half, `${high} - ${mean}`);
  assert.ok(Math.abs(mean - (low ?? 0) - half) < 0.1 * half, `${mean} - ${low}`);
});

test("a difference is resampled in pairs: a constant one is certain, however its sides spread", () => {
  const a = normal(2, "a", 50, 5);
  const b = a.map((value) => value + 1);
  const [first, second] = [meanOf(a), meanOf(b)];
  const { difference, a: side } = bootstrap(50, { a: first, difference: (units) => second(units) - first(units) });
  assert.ok((side.high ?? 0) - (side.low ?? 0) > 1);
  assert.ok(Math.abs((difference.low ?? 0) - 1) < 1e-5 && Math.abs((difference.high ?? 0) - 1) < 1e-5);
});

test("one unit has a value and no interval; equal seeds give equal intervals, others other ones", () => {
  assert.equal(bootstrap(1, { mean: meanOf([3]) }), { mean: { value: 3, low: null, high: null } });
  const values = normal(3, "values", 30, 1);
  const of = (seed: number) => bootstrap(30, { mean: meanOf(values) }, seed).mean;
  assert.equal(of(4), of(4));
  assert.is.not(of(4).low, of(5).low);
});

test.run();
