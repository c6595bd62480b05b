/** Divergences of distributions over a vocabulary. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { divergence, logSumExp } from "../../src/numbers/distributions.ts";

test("the divergence of two distributions, of logits or logarithms, and of one from itself", () => {
  const [p, q] = [Float32Array.of(Math.log(3), 0, -900), Float32Array.of(5, 5 + Math.log(3), -900)];
  assert.ok(Math.abs(divergence(p, q) - 0.5 * Math.log(3)) < 1e-6);
  assert.is(divergence(p, p), 0);
  const logs = (row: Float32Array): Float64Array => Float64Array.from(row, (value) => value - logSumExp(row));
  assert.is(divergence(logs(p), logs(q), 0, 0), divergence(p, q));
});

test("distributions that differ by rounding alone have a divergence of 0, not one below", () => {
  // Logits a constant apart stand for one distribution; float64 gives the sums of some of them another last bit.
  let below = 0;
  for (let n = 1; n <= 200; n++) {
    const p = Float64Array.from({ length: 50 }, (_, i) => Math.sin(n * i) * 4);
    const q = p.map((value) => value + n / 7);
    const sum = Array.from(p).reduce((total, value, i) => {
      const logP = value - logSumExp(p);
      return total + Math.exp(logP) * (logP - ((q[i] as number) - logSumExp(q)));
    }, 0);
    if (sum < 0) below++;
    assert.ok(divergence(p, q) >= 0 && divergence(p, q) < 1e-14);
  }
  assert.ok(below > 0, "some would lie below");
});

test("what is no number stays none", () => {
  for (const wrong of [Number.NaN, Infinity]) {
    assert.ok(Number.isNaN(logSumExp([0, wrong, 1])));
    assert.ok(Number.isNaN(divergence([0, wrong], [0, 1])));
  }
});

test.run();
