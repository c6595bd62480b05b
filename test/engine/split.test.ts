/** Long caches on the kernels for GPUs: attention split over the keys, from a number of keys on. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Plan } from "../../src/compile/plan.ts";
import { noStages } from "../../src/interventions/stage.ts";
import { uniform } from "../reference/draw.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference } from "../reference/open.ts";
import { assertClose } from "../support/closeness.ts";
import { gpt2Small, imaginedPlan } from "../support/imagined-plan.ts";
import { choicesFor } from "../support/kernel-choices.ts";
import { lastLogits } from "../support/last-logits.ts";
import { load } from "../support/load.ts";
import { longFiles } from "../support/long-model.ts";
import { myTurns } from "../support/turns.ts";

// Seed 19 slides a window.
for (const seed of myTurns([55, 19])) {
  test(`single rows and batches before and after the limit (seed ${seed})`, async () => {
    const files = await longFiles(seed);
    const model = await load(files, { family: "tiled" });
    const { weights, config } = await openReference(files);
    const next = uniform(seed);
    const tokens = Array.from({ length: 530 }, () => Math.floor(next() * config.vocab_size));
    const { logits } = referenceForward(weights, config, noStages, { tokens });
    const sequences = await model.openSequences({ sequences: 2, context: tokens.length });
    const { split } = sequences.plan;
    assert.is(split?.minKeys, 512);
    const feed = async (...ends: readonly (readonly [from: number, to: number])[]): Promise<void> => {
      const feeds = ends.map(([from, to], sequence) => ({ sequence, tokens: tokens.slice(from, to) }));
      for (const [sequence, actual] of await lastLogits(sequences, feeds)) {
        const end = (ends[sequence] as readonly [number, number])[1] * config.vocab_size;
        const expected = Float32Array.from(logits.subarray(end - config.vocab_size, end));
        assertClose(actual, expected, `sequence ${sequence}, rows ${ends.join(" and ")}`);
      }
    };
    await feed([0, 505], [0, 60]);
    // Rows of a short context beside one that reaches 512 keys, alone, and several of one sequence.
    await feed([505, 511], [60, 61]);
    await feed([511, 512], [61, 62]);
    await feed([512, 513]);
    await feed([513, 516], [62, 63]);
    await feed([516, 530]);
    sequences.dispose();
    model.dispose();
  });
}

const dispatches = ({ body, split }: Plan, keys: number): number => {
  return body.filter((dispatch) => dispatch.split === undefined || dispatch.split === keys >= (split?.minKeys ?? 0))
    .length;
};

test("eight dispatches a layer in steps that split, seven in others", () => {
  const layers = gpt2Small.num_hidden_layers;
  const plan = imaginedPlan(gpt2Small, noStages, { family: "tiled" });
  assert.is(dispatches(plan, 511), 7 * layers + 1);
  assert.is(dispatches(plan, 512), 8 * layers + 1);
});

test("a kernel that a tuner chose on a short cache leaves long ones split", () => {
  const plain = imaginedPlan(gpt2Small, noStages, { family: "tiled" });
  const choices = choicesFor(plain, (names) => (names.includes("register1") ? "register1" : undefined));
  const plan = imaginedPlan(gpt2Small, noStages, { family: "tiled", choices });
  const attention = plan.body.find(({ label }) => label === "blocks.0.attn.core");
  assert.is(attention?.candidates[0]?.kernel.shader.entry, "attention/register");
  assert.is(plan.split?.minKeys, 512);
});

test("the reference plan and software devices never split", () => {
  assert.is(imaginedPlan(gpt2Small, noStages, { family: "tiled", reference: true }).split, undefined);
  assert.is(imaginedPlan(gpt2Small, noStages, { family: "register" }).split, undefined);
});

test.run();
