/** AUROC by mid-ranks against a count over all pairs, and the factor made of it. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { auraFactor, auroc } from "../../src/fit/auroc.ts";

test("equals a count over all pairs, ties included", () => {
  const responses = fc.array(fc.integer({ min: -4, max: 4 }), { minLength: 1, maxLength: 40 });
  fc.assert(
    fc.property(responses, responses, (positive, negative) => {
      let sum = 0;
      for (const p of positive) for (const n of negative) sum += p > n ? 1 : p === n ? 0.5 : 0;
      assert.is(
        auroc(Float32Array.from(positive), Float32Array.from(negative)),
        sum / (positive.length * negative.length),
      );
    }),
  );
});

test("the factor is 1 up to one half and falls to 0 at 1", () => {
  assert.equal([0, 0.5, 0.75, 1].map(auraFactor), [1, 1, 0.5, 0]);
});

test.run();
