/** Submits are cut by estimates that measurements correct. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { Pacer } from "../../src/execution/pacer.ts";

const WORK = { flops: 3e9, bytes: 2e8 };

test("the first submits are shorter than those after the first measurement", () => {
  for (const family of ["register", "tiled"] as const) {
    const pacer = new Pacer(family);
    const first = pacer.budgetMs;
    pacer.observe(pacer.estimate(WORK), 50);
    assert.ok(first <= 20 && pacer.budgetMs > first, `${first}, then ${pacer.budgetMs}`);
  }
});

test("estimates come to what is measured, from either side, and one odd measurement moves them little", () => {
  for (const family of ["register", "tiled"] as const) {
    for (const ms of [0.5, 40, 3000]) {
      const pacer = new Pacer(family);
      for (let i = 0; i < 20; i++) pacer.observe(pacer.estimate(WORK), ms);
      assert.ok(Math.abs(pacer.estimate(WORK) / ms - 1) < 0.1, `${family}: ${pacer.estimate(WORK)} for ${ms}`);
      const before = pacer.estimate(WORK);
      pacer.observe(before, 1000 * before);
      assert.ok(pacer.estimate(WORK) <= 2.01 * before);
    }
  }
});

test("untimed submits do not change estimates", () => {
  const pacer = new Pacer("tiled");
  const [budget, estimate] = [pacer.budgetMs, pacer.estimate(WORK)];
  pacer.observe(10, 0);
  pacer.observe(0, 10);
  assert.equal([pacer.budgetMs, pacer.estimate(WORK)], [budget, estimate]);
});

test.run();
