/**
 * Requests to one running batch, each with bundles of its own: ids and log probabilities are those of the request alone,
 * bit for bit, whatever runs beside it.
 */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { BatchIntervention, Bundle, GenerateOptions, Model } from "../../src/index.ts";
import { compose } from "../../src/interventions/compose.ts";
import type { Positions } from "../../src/interventions/positions.ts";
import type { Composition, Stage } from "../../src/interventions/stage.ts";
import { randomCompositions } from "../reference/random-compositions.ts";
import { decomposed } from "../support/decomposed.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { pushStage } from "../support/stages.ts";
import { sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

const ENVELOPE = { affineRank: 16, neuronScales: true, edges: true } as const;

/** Bundles with stages of every kind at every site. */
function randomBundles(model: Model, seed: number, numRuns: number): readonly Bundle[] {
  const compositions = fc.sample(randomCompositions(model.config), { seed, numRuns: 3 * numRuns });
  const known = compositions
    .map(({ stages }): Composition => ({ stages: stages.filter((stage) => isOpenedFor(model, stage)), warnings: [] }))
    .filter(({ stages }) => stages.length > 0);
  return known.slice(0, numRuns).map((composition, i) => decomposed(model.config, composition, `${i}.safetensors`));
}

/** Of edge masks, those of the form that a batch is opened for without a word about it. */
function isOpenedFor({ config }: Model, stage: Stage): boolean {
  const { num_attention_heads: H, num_key_value_heads: G } = config;
  if (stage.kind !== "edge_mask") return true;
  return stage.attn_bias === "per_head" && stage.destinations === (H === G ? "heads" : "qkv_groups");
}

function hasMask(bundles: readonly Bundle[], name: string): boolean {
  return bundles[Number(name)]?.manifest.stages.some(({ kind }) => kind === "edge_mask") === true;
}

/** Of two bundles the first alone, if they do not go together. */
function together(model: Model, bundles: readonly Bundle[], names: readonly number[]): readonly number[] {
  try {
    compose(
      model.config,
      names.map((name, i) => ({ bundle: bundles[name] as Bundle, prefix: `p${i}` })),
    );
    return names;
  } catch {
    return names.slice(0, 1);
  }
}

interface Wanted {
  readonly prompt: readonly number[];
  readonly interventions: readonly BatchIntervention[];
  readonly options: GenerateOptions;
}

/** Sampled at temperatures at which the last bit of a logit decides. */
function wantedOf(model: Model, bundles: readonly Bundle[], seed: number): readonly Wanted[] {
  const { vocab_size } = model.config;
  return Array.from({ length: 14 }, (_, i) => {
    const at = (k: number) => (seed * 31 + i * 7 + k * 13) % 97;
    const names = i % 5 === 0 ? [] : i % 5 === 4 ? [at(1), at(1) + 1 + at(2)] : [at(1)];
    const interventions = together(model, bundles, [...new Set(names.map((name) => name % bundles.length))]).map(
      (index): BatchIntervention => {
        const { manifest } = bundles[index] as Bundle;
        const [first] = manifest.stages;
        const stages = i % 3 === 1 && first ? { [first.id]: { strength: at(3) / 50 - 0.5 } } : undefined;
        return { bundle: `${index}`, ...(stages && { stages }) };
      },
    );
    const prompt = Array.from(
      { length: 3 + (at(4) % 12) },
      (_, k) => (k < 3 + (i % 4) ? 5 + k : at(5 + k)) % vocab_size,
    );
    return {
      prompt,
      interventions,
      options: { maxNewTokens: 2 + (at(6) % 9), temperature: 2, seed: i, stopTokens: [], topLogprobs: 20 },
    };
  });
}

function alone(model: Model, bundles: readonly Bundle[], { prompt, interventions, options }: Wanted) {
  if (interventions.length === 0) return model.generate(prompt, options).result();
  const strengths: Record<string, number> = {};
  const named = interventions.map(({ bundle, stages }, i) => {
    const prefix = `p${i}`;
    for (const [id, { strength }] of Object.entries((stages ?? {}) as Record<string, { strength: number }>)) {
      strengths[`${prefix}/${id}`] = strength;
    }
    return { bundle: bundles[Number(bundle)] as Bundle, prefix };
  });
  const edited = model.with(named, { strengths });
  return edited.generate(prompt, options).result();
}

for (const folder of ["gpt2-tiny", "llama-tiny"]) {
  inTurn(`random bundles beside one another, on ${folder}`, async () => {
    const model = await load(location(`test/golden/${folder}`), { plan: "reference" });
    const batch = await model.batch({ sequences: 5, context: 32, prefillRows: 6, envelope: ENVELOPE });
    for (const seed of [1]) {
      const bundles = randomBundles(model, seed, 6);
      for (const [i, bundle] of bundles.entries()) await batch.addBundle(`${i}`, bundle);
      const wanted = wantedOf(model, bundles, seed);
      const got = await Promise.all(
        wanted.map(({ prompt, interventions, options }) =>
          batch.generate(prompt, { ...options, interventions }).result(),
        ),
      );
      // Nothing is compiled for a request to an idle batch; a model of its own compiles what its stages need.
      const masked = wanted.findIndex(({ interventions }) =>
        interventions.some(({ bundle }) => hasMask(bundles, bundle)),
      );
      assert.ok(masked >= 0);
      for (const [i, each] of wanted.entries()) {
        const what = `seed ${seed}, request ${i}: ${JSON.stringify(each)}`;
        const { prompt, interventions, options } = each;
        const idle = await batch.generate(prompt, { ...options, interventions }).result();
        // The log probabilities are made of all logits, so that a bit of any of them shows.
        assert.equal([got[i]?.tokens, got[i]?.logprobs], [idle.tokens, idle.logprobs], what);
        if (i !== masked) continue;
        const own = await alone(model, bundles, each);
        assert.equal([idle.tokens, idle.logprobs], [own.tokens, own.logprobs], what);
      }
      for (const { name } of batch.bundles) batch.removeBundle(name);
    }
    batch.dispose();
    model.dispose();
  });
}

inTurn("what a batch was not opened for is refused, with the envelope that it needs", async () => {
  const model = await load(location("test/golden/gpt2-tiny"));
  const [bundle] = randomBundles(model, 3, 1) as [Bundle];
  const plain = await model.batch({ sequences: 1, context: 16 });
  assert.is(await codeOf(() => plain.addBundle("a", bundle)), "bad_bundle");
  try {
    await plain.addBundle("a", bundle);
  } catch (error) {
    assert.match((error as Error).message, /envelope: \{ (affineRank|neuronScales)/);
  }
  plain.dispose();
  const edited = await model.with([bundle]).batch({ sequences: 1, context: 16 });
  assert.equal(
    edited.bundles.map(({ name }) => name),
    ["0"],
  );
  await edited.addBundle("again", bundle);
  assert.is(await codeOf(() => edited.addBundle("again", bundle)), "usage");
  const options = { maxNewTokens: 3, stopTokens: [] };
  const own = await edited.generate([1, 2, 3], options).result();
  const named = await edited.generate([1, 2, 3], { ...options, interventions: [{ bundle: "0" }] }).result();
  assert.equal(own.tokens, named.tokens);
  assert.is(await codeOf(() => edited.generate([1], { interventions: [{ bundle: "nobody" }] })), "usage");
  edited.removeBundle("0");
  assert.is(await codeOf(() => edited.generate([1], { interventions: [{ bundle: "0" }] })), "usage");
  edited.dispose();
  model.dispose();
});

inTurn("a stage that acts on none of a request's tokens is a notice, once", async () => {
  const notices: string[] = [];
  const model = await load(location("test/golden/gpt2-tiny"), { onNotice: (text) => notices.push(text) });
  const push = pushStage(new Float32Array(48).fill(1));
  const bundle = decomposed(model.config, { stages: [push], warnings: [] }, "push.safetensors");
  const batch = await model.batch({ sequences: 2, context: 16, envelope: { affineRank: 1 } });
  await batch.addBundle("push", bundle);
  const asked = (positions: Positions) => ({
    maxNewTokens: 2,
    interventions: [{ bundle: "push", stages: { push: { positions } } }],
  });
  notices.length = 0;
  await batch.generate([1, 2, 3], asked([2])).result();
  assert.equal(notices, []);
  await batch.generate([1, 2, 3], asked([9])).result();
  await batch.generate([1, 2, 4], asked([9])).result();
  assert.is(notices.length, 1);
  assert.match(notices[0] as string, /Stage "push" \(positions \[9\]\) acts on none of this run's tokens/);
  batch.dispose();
  model.dispose();
});

test.run();
