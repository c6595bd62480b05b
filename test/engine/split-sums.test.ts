/** Sums over K that are split among workgroups, in whole models: by the guess for GPUs, and where a tuner chose it. */

import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Dispatch, kernelsIn, type Plan } from "../../src/compile/plan.ts";
import { type Model, tuneModel } from "../../src/index.ts";
import { noStages } from "../../src/interventions/stage.ts";
import { remember } from "../../src/tune/remembered.ts";
import { referenceForward } from "../reference/forward.ts";
import { randomCompositions } from "../reference/random-compositions.ts";
import { openRandomModel, type RandomModel } from "../reference/random-models.ts";
import { assertClose } from "../support/closeness.ts";
import { choicesFor } from "../support/kernel-choices.ts";
import { load } from "../support/load.ts";
import { MemoryStore } from "../support/memory-store.ts";
import { myTurns, sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

/** Dispatches of which steps of so many rows run two kernels. */
const splitAt = ({ body }: Plan, rows: number): readonly string[] =>
  body.flatMap(({ label, candidates }) => {
    return candidates.find(({ maxRows }) => rows <= maxRows)?.kernel.split ? [label] : [];
  });

/** Plain and with random stages, against float64; returns the dispatches of the edited plan. */
async function compare(model: Model, random: RandomModel, seed: number): Promise<readonly Dispatch[]> {
  const { config, weights, summary } = random;
  const tokens = Array.from({ length: 21 }, (_, i) => (i * i + 7 * i + seed) % config.vocab_size);
  const last = config.num_hidden_layers - 1;
  const sites = [`attn_out.${last}`, `mlp_post.${last}`, `mlp_out.${last}`, `resid_post.0`];
  const [composition = noStages] = fc.sample(randomCompositions(config), { numRuns: 1, seed });
  let dispatches: readonly Dispatch[] = [];
  for (const stages of [noStages, composition]) {
    const what = `${summary}, ${stages.stages.map(({ id, kind }) => `${kind} ${id}`).join(", ")}`;
    const expected = referenceForward(weights, config, stages, { tokens, sites });
    const edited = model.withStages(stages);
    assertClose((await edited.logits(tokens)).data, Float32Array.from(expected.logits), what);
    const captured = await edited.capture(tokens, sites);
    for (const [site, values] of expected.sites) {
      assertClose(captured.get(site)?.data ?? new Float32Array(), Float32Array.from(values), `${what}: ${site}`);
    }
    dispatches = edited.plan().body;
    edited.dispose();
  }
  return dispatches;
}

for (const { seed, f, summation } of myTurns([
  { seed: 0, f: 1032, summation: "serial_parts8" },
  { seed: 5, f: 268, summation: "serial_parts2" },
])) {
  test(`the guess for GPUs splits what an MLP of ${f} sums up, with stages and captures after it`, async () => {
    const random = await openRandomModel(seed, f);
    const model = await load(random.files, { family: "tiled" });
    try {
      const plan = model.plan();
      const down = plan.body.find(({ label }) => label === "blocks.0.mlp.down");
      assert.equal(
        [...splitAt(plan, 21)],
        plan.body.filter(({ label }) => /mlp\.down/.test(label)).map(({ label }) => label),
      );
      assert.is(down?.candidates.find(({ maxRows }) => maxRows >= 21)?.kernel.summation, summation);
      assert.equal(splitAt(plan, 1), []);
      await compare(model, random, seed);
    } finally {
      model.dispose();
    }
  });
}

// Seed 50: heads of 16, and an edge mask that gives each its own row.
inTurn("a choice of four parts is followed in every layer, heads that read variants included", async () => {
  const random = await openRandomModel(50);
  const model = await load(random.files, { family: "tiled" });
  try {
    const store = new MemoryStore();
    const choices = choicesFor(model.plan(), (names) => names.find((name) => name === "split4"));
    await remember(store, model.device, choices, assert.unreachable);
    await tuneModel(model, { seconds: 1e-3, store });
    const plan = model.plan();
    const matrices = plan.body.filter(({ operation }) => operation?.name.startsWith("linear"));
    assert.is(matrices.length, 4 * random.config.num_hidden_layers);
    assert.equal(
      splitAt(plan, 21),
      matrices.map(({ label }) => label),
    );
    const names = (await compare(model, random, 50)).flatMap(kernelsIn).map(({ name }) => name);
    assert.ok(
      names.some((name) => /^linear_split4_.*_grouped/.test(name)),
      names.join(),
    );
  } finally {
    model.dispose();
  }
});

test.run();
