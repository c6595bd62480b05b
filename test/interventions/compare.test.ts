/** A model beside itself: continuations as either alone would give, and distances that are those of the logits. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { compareWithPlain, load } from "../../src/index.ts";
import type { Stage } from "../../src/interventions/stage.ts";
import { location } from "../support/files.ts";
import { codeOf } from "../support/refusal-code.ts";

const PROMPT = [65, 7, 28, 64, 1];

test("both continuations are those of each model alone, and the divergence is that of their predictions", async () => {
  const plain = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
  try {
    const direction = Float32Array.from({ length: 48 }, (_, i) => 4 * Math.cos(i));
    const push: Stage = {
      id: "push",
      kind: "affine",
      method: "addition",
      site: "resid_post",
      layers: [2],
      positions: "all",
      gate: "identity",
      alpha: 1,
      strength: 1,
      values: new Map([[2, { direction }]]),
    };
    const edited = plain.withStages({ stages: [push], warnings: [] });
    const result = await compareWithPlain(edited, PROMPT, { maxNewTokens: 8, most: 5 });
    assert.equal(result.plain.tokens, (await plain.generate(PROMPT, { maxNewTokens: 8 }).result()).tokens);
    assert.equal(result.edited.tokens, (await edited.generate(PROMPT, { maxNewTokens: 8 }).result()).tokens);

    const [p, q] = await Promise.all(
      [plain, edited].map(async (model) => softmax((await model.logits(PROMPT, { last: true })).data)),
    );
    const divergence = (p as number[]).reduce((sum, x, i) => sum + x * Math.log(x / ((q as number[])[i] as number)), 0);
    assert.ok(Math.abs(result.kl_last - divergence) < 1e-5, `${result.kl_last} and ${divergence}`);
    assert.is(result.moved.length, 5);
    const changes = result.moved.map((token) => Math.abs(token.edited - token.plain));
    assert.equal(
      changes,
      [...changes].sort((a, b) => b - a),
    );
    const most = Math.max(...(p as number[]).map((x, i) => Math.abs(x - ((q as number[])[i] as number))));
    assert.ok(Math.abs((changes[0] as number) - most) < 1e-6);
    assert.is(await codeOf(() => compareWithPlain(plain, PROMPT)), "usage");
  } finally {
    plain.dispose();
  }
});

function softmax(logits: Float32Array): number[] {
  const top = Math.max(...logits);
  const weights = Array.from(logits, (value) => Math.exp(value - top));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  return weights.map((weight) => weight / total);
}

test.run();
