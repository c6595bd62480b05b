/** The cost model grows with what it is made of. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bandwidths, decodeCost, estimateMs } from "../../src/compile/cost-model.ts";
import { noStages } from "../../src/interventions/stage.ts";
import { gpt2Small, imaginedPlan } from "../support/imagined-plan.ts";

test("a decode step of GPT-2 small moves its weights once, and the cache that it sees", () => {
  const plan = imaginedPlan(gpt2Small, noStages, { family: "tiled" });
  const near = decodeCost(plan, 0);
  // 12 blocks of 12 d², and the head: V·d, all float32.
  const weights = 4 * (12 * 12 * 768 * 768 + 50257 * 768);
  assert.ok(near.bytes > weights && near.bytes < 1.02 * weights, `${near.bytes} against ${weights}`);
  assert.is(near.dispatches, 7 * 12 + 5);
  const far = decodeCost(plan, 500);
  // K and V of 500 more positions in 12 layers.
  assert.ok(Math.abs(far.bytes - near.bytes - 2 * 12 * 500 * 768 * 4) < 1e-3 * far.bytes);
});

test("more bandwidth is never slower, and dispatches bound what it can bring", () => {
  const cost = decodeCost(imaginedPlan(gpt2Small, noStages, { family: "tiled" }), 255);
  const times = bandwidths.map((bandwidth) => estimateMs(cost, bandwidth));
  assert.equal(
    times,
    [...times].sort((a, b) => b - a),
  );
  assert.ok((times.at(-1) as number) > cost.dispatches * 0.003);
});

test.run();
