/** Random models and compositions: valid, the same for one seed, and obeying what holds for every intervention. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Composition, noStages, type Stage } from "../../src/interventions/stage.ts";
import { myTurns } from "../support/turns.ts";
import { referenceForward } from "./forward.ts";
import { randomCompositions, randomRuns } from "./random-compositions.ts";
import { openRandomModel, type RandomModel } from "./random-models.ts";

const SEEDS = Array.from({ length: 24 }, (_, seed) => seed);

async function withRandom(
  runs: number,
  check: (model: RandomModel, composition: Composition, run: { tokens: number[]; promptLength: number }) => void,
): Promise<void> {
  for (const seed of myTurns(SEEDS)) {
    const model = await openRandomModel(seed);
    const holds = fc.property(randomCompositions(model.config), randomRuns(model.config), (composition, run) =>
      check(model, composition, run),
    );
    fc.assert(holds, { numRuns: runs, seed });
  }
}

test("a seed gives the same bytes each time", async () => {
  for (const seed of SEEDS) {
    const [once, again] = [await openRandomModel(seed), await openRandomModel(seed)];
    for (const [i, file] of once.files.entries()) {
      assert.equal(await file.arrayBuffer(), await again.files[i]?.arrayBuffer(), again.summary);
    }
  }
});

test("the models differ in family, storage, grouping and depth", async () => {
  const models = await Promise.all(SEEDS.map((seed) => openRandomModel(seed)));
  const kinds = (of: (model: RandomModel) => unknown) => new Set(models.map(of)).size;
  assert.ok(kinds(({ config }) => config.model_type) >= 3);
  assert.is(
    kinds(({ summary }) => summary.match(/F32|BF16|F16/)?.[0]),
    3,
  );
  assert.ok(kinds(({ config }) => config.num_attention_heads / config.num_key_value_heads) >= 3);
  assert.is(
    kinds(({ config }) => config.num_hidden_layers),
    3,
  );
});

test("values stay of a size that float32 is good for", () =>
  withRandom(20, (model, composition, run) => {
    const { logits } = referenceForward(model.weights, model.config, composition, run);
    const largest = logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assert.ok(largest > 0 && largest < 200, `${model.summary}: logits up to ${largest}`);
  }));

test("strength 0 everywhere is the plain model", () =>
  withRandom(5, (model, composition, run) => {
    const stages: Stage[] = composition.stages.map((stage) => ({ ...stage, strength: 0 }));
    const plain = referenceForward(model.weights, model.config, noStages, run);
    const edited = referenceForward(model.weights, model.config, { stages, warnings: [] }, run);
    assert.equal(edited.logits, plain.logits, model.summary);
  }));

test("what comes later changes nothing before it", () =>
  withRandom(5, (model, composition, { tokens, promptLength }) => {
    const whole = referenceForward(model.weights, model.config, composition, { tokens, promptLength });
    const part = referenceForward(model.weights, model.config, composition, {
      tokens: tokens.slice(0, promptLength),
      promptLength,
    });
    assert.equal(part.logits, whole.logits.slice(0, part.logits.length), model.summary);
  }));

test.run();
