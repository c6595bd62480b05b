/** Stages that change while a prompt of several steps runs, or while its cache is computed again. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Session } from "../../src/index.ts";
import { testDevice } from "../support/device.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { pushStage } from "../support/stages.ts";
import { watchSubmits } from "../support/submits.ts";

/** A prompt of more rows than a step takes, and a model that is pushed. */
async function withLongPrompt(
  use: (device: GPUDevice, open: () => Promise<Session>, prompt: readonly number[]) => Promise<void>,
): Promise<void> {
  const device = await testDevice();
  const plain = await load(location("weights/stories260K"), { device, plan: "reference" });
  const { hidden_size, vocab_size } = plain.config;
  const direction = Float32Array.from({ length: hidden_size }, (_, i) => Math.sin(i));
  const push = pushStage(direction);
  const edited = plain.withStages({ stages: [push], warnings: [] });
  const prompt = Array.from({ length: 300 }, (_, i) => (i * 37) % vocab_size);
  await use(device, () => edited.session({ context: 352 }), prompt);
  plain.dispose();
}

test("a change while the cache is computed again has it computed once more", () =>
  withLongPrompt(async (device, open, prompt) => {
    // Drawn: draws tell small differences apart.
    const options = { maxNewTokens: 48, stopTokens: [], temperature: 1, seed: 3 };
    const session = await open();
    const generation = session.generate(prompt, options);
    let seen = 0;
    for await (const _ of generation) {
      if (++seen !== 2) continue;
      session.set("push", { alpha: -3 });
      // Of the next submits the first two are the steps that compute the cache again.
      const unwatch = watchSubmits(device.queue, () => {
        unwatch();
        session.set("push", { alpha: 0.25 });
      });
    }
    const { tokens, changes } = await generation.result();
    const first = changes[0]?.first_token ?? 0;
    assert.equal(changes, [
      { id: "push", alpha: -3, first_token: first },
      { id: "push", alpha: 0.25, first_token: first },
    ]);
    const fresh = await open();
    fresh.set("push", { alpha: 0.25 });
    const rest = await fresh
      .generate([...prompt, ...tokens.slice(0, first)], { ...options, maxNewTokens: 48 - first })
      .result();
    assert.equal(tokens.slice(first), rest.tokens);
    session.dispose();
    fresh.dispose();
  }));

for (const cache of ["recompute", "continue"] as const) {
  test(`${cache}: a change between two steps of one prompt acts on its first token, and is named there`, () =>
    withLongPrompt(async (device, open, prompt) => {
      const options = { maxNewTokens: 6, stopTokens: [] };
      const change = { alpha: -3 };
      const session = await open();
      const unwatch = watchSubmits(device.queue, () => {
        unwatch();
        session.set("push", change, { cache });
      });
      const changed = await session.generate(prompt, options).result();
      assert.equal(changed.changes, [{ id: "push", ...change, first_token: 0 }]);

      // By hand: the first step under the old values, or nothing; then the rest under the new ones.
      const other = await open();
      if (cache === "continue") {
        await other.generate(prompt.slice(0, 256), { ...options, maxNewTokens: 1 }).result();
      }
      other.set("push", change, { cache });
      assert.equal(changed.tokens, (await other.generate(prompt, options).result()).tokens);
      session.dispose();
      other.dispose();
    }));
}

test.run();
