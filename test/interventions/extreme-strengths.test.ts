/**
 * Strengths, alphas and tensors of any scale, also those that devices take for 0 (below 1.2e-38): float64's numbers, or an
 * error that names stage and field.
 */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Model } from "../../src/index.ts";
import { listDestinations, listSources, visibleSources } from "../../src/interventions/edges.ts";
import type { AffineStage, Composition, NeuronScaleStage, Stage } from "../../src/interventions/stage.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { normal } from "../reference/draw.ts";
import { referenceForward } from "../reference/forward.ts";
import { openRandomModel, type RandomModel } from "../reference/random-models.ts";
import { assertClose } from "../support/closeness.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { refusalOf } from "../support/refusal-code.ts";
import { myTurns } from "../support/turns.ts";

const PROMPT = [1, 7, 28, 33, 1];

/** Stages for a model's shape, drawn by a seed. */
class Drawn {
  readonly #seed: number;
  readonly d: number;

  constructor({ config }: { readonly config: ModelConfig }, seed: number) {
    this.#seed = seed;
    this.d = config.hidden_size;
  }

  /** `rows` vectors of the stream. */
  rows(name: string, scale: number, rows = 1): Float32Array {
    return normal(this.#seed, name, rows * this.d, 1).map((value) => (value * scale) / Math.sqrt(this.d));
  }

  affine(method: AffineStage["method"], values: Record<string, Float32Array>, own: Partial<AffineStage> = {}): Stage {
    const common = {
      site: "resid_post",
      layers: [0],
      positions: "all",
      gate: "identity",
      alpha: 1,
      strength: 1,
    } as const;
    return { id: method, kind: "affine", method, ...common, ...own, values: new Map([[0, values]]) };
  }

  neurons(values: Record<string, Float32Array>, own: Partial<NeuronScaleStage> = {}): Stage {
    const common = { site: "mlp_out", layers: [0], positions: "all", strength: 1 } as const;
    return { id: "neurons", kind: "neuron_scale", ...common, ...own, values: new Map([[0, values]]) };
  }

  cases(): Readonly<Record<string, readonly Stage[]>> {
    const { d } = this;
    const full = (value: number) => new Float32Array(d).fill(value);
    const push = (scale: number, own: Partial<AffineStage>) =>
      this.affine("addition", { direction: this.rows("direction", scale) }, own);
    const lowRank = (v: number, u: number, more: Record<string, Float32Array>, own: Partial<AffineStage>) =>
      this.affine("low_rank", { v: this.rows("v", v, 2), u: this.rows("u", u, 2), ...more }, own);
    return {
      "a weak push along a huge direction": [push(1e37, { strength: 1e-37 })],
      "a push of subnormal strength": [push(1e38, { strength: 3e-38 / 7 })],
      "a push of subnormal alpha": [push(1e38, { alpha: -1e-40, strength: 50 })],
      "strength and alpha that only their product shows": [push(1, { strength: 1e-40, alpha: 1e38 })],
      "a strong push along subnormals": [push(1e-39, { strength: 1e38 })],
      "a weak edit by a huge U": [lowRank(1, 1e38, {}, { strength: 1e-39 })],
      "a weak edit by huge rows of V and U": [lowRank(1e30, 1e38, {}, { strength: 1e-45 / 1e24 })],
      "a strong edit by a tiny U": [lowRank(1, 1e-40, {}, { strength: 1e38 })],
      "a weak edit with a huge bias": [lowRank(1, 1, { bias: this.rows("b", 1e38) }, { strength: 1e-39 })],
      "a weak concept edit": [
        this.affine(
          "ace",
          { direction: this.rows("direction", 1e38), reference: this.rows("reference", 2) },
          { alpha: 1e-39, strength: 0.5 },
        ),
      ],
      "a clamp of tiny rows": [
        lowRank(1e-39, 1e38, { c: this.rows("c", 1e-39).slice(0, 2) }, { gate: { clamp: [-1e-40, 2e-40] } }),
      ],
      "a clamp of huge rows": [lowRank(1e36, 1e-37, {}, { gate: { clamp: [-1e35, 2e35] } })],
      "weak stages that see each other": [
        push(1e38, { strength: 1e-38 }),
        { ...lowRank(1e-39, 1e38, {}, { gate: "relu", strength: 1.5 }), id: "second" },
        this.affine("directional_ablation", { direction: this.rows("direction", 1) }),
      ],
      "neurons shifted weakly by much": [this.neurons({ shift: this.rows("shift", 1e38) }, { strength: 1e-39 })],
      "neurons shifted strongly by little": [this.neurons({ shift: this.rows("shift", 1e-40) }, { strength: 1e38 })],
      "neurons scaled weakly by much": [this.neurons({ scale: this.rows("scale", 1e38) }, { strength: 1e-39 })],
      "what is too weak to show": [
        push(1, { strength: 1e-40 }),
        { ...this.neurons({ scale: full(0) }, { strength: 1e-40 }) },
      ],
    };
  }
}

/** Of a width that is not a multiple of four; 2, 6 and 11 were tried by hand. */
const seeds = myTurns([5]);

for (const seed of seeds) {
  test(`seed ${seed}: what float64 gives`, async () => {
    const random = await openRandomModel(seed);
    const model = await load(random.files);
    for (const [name, stages] of Object.entries(new Drawn(random, seed).cases())) {
      await compare(model, random, { stages, warnings: [] }, name);
    }
    model.dispose();
  });
}

async function compare(model: Model, { config, weights }: RandomModel, composition: Composition, name: string) {
  const { data } = await model.withStages(composition).logits(PROMPT);
  const { logits } = referenceForward(weights, config, composition, { tokens: PROMPT });
  assertClose(data, Float32Array.from(logits), name);
}

test("strengths and tensors that become extreme while a session runs, and in a batch", async () => {
  const model = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
  const drawn = new Drawn(model, 2);
  const push = (own: Partial<AffineStage>, scale = 1) =>
    drawn.affine("addition", { direction: drawn.rows("direction", scale) }, own);
  const edited = (own: Partial<AffineStage>, scale?: number) =>
    model.withStages({ stages: [push(own, scale)], warnings: [] });
  const session = await edited({}).session({ context: 16 });
  const options = { maxNewTokens: 4, stopTokens: [], logprobs: true } as const;
  const fresh = async (own: Partial<AffineStage>, scale: number) =>
    (await edited(own, scale).generate(PROMPT, options).result()).logprobs;
  const settings = [
    { strength: 1e-37, scale: 1e37 },
    { strength: 3e-38 / 7, scale: 1e38 },
    { strength: 1e38, scale: 1e-39 },
    { strength: 1, scale: 1 },
  ];
  for (const { strength, scale } of settings) {
    session.setTensors("addition", 0, { direction: drawn.rows("direction", scale) });
    session.set("addition", { strength });
    const { logprobs } = await session.generate(PROMPT, options).result();
    assert.equal(logprobs, await fresh({ strength }, scale), `strength ${strength}`);
  }
  session.dispose();
  const own = { strength: 3e-38 / 7 };
  const batch = await edited(own, 1e38).batch({ sequences: 1, context: 16 });
  assert.equal((await batch.generate(PROMPT, options).result()).logprobs, await fresh(own, 1e38));
  batch.dispose();
  model.dispose();
});

test("what float32 has no right result for is refused, by stage and field", async () => {
  const random = await openRandomModel(2);
  const model = await load(random.files);
  const drawn = new Drawn(random, 2);
  const of = (...stages: readonly Stage[]) => model.withStages({ stages, warnings: [] });
  const direction = drawn.rows("direction", 1);
  const push = drawn.affine("addition", { direction });
  const ablate = drawn.affine("directional_ablation", { direction });
  for (const strength of [1e7, 1e20]) {
    const { code, message, field } = await refusalOf(() => of({ ...push, strength }, ablate).logits(PROMPT));
    assert.is(code, "usage");
    assert.match(message, /Stage directional_ablation takes away what stage addition adds at resid_post\.0/);
    assert.is(field, "strength");
  }
  // Not what other tokens get, nor what stays.
  await of(
    { ...push, strength: 1e7, positions: "prompt" } as Stage,
    { ...ablate, positions: "generated" } as Stage,
  ).logits(PROMPT);
  await of({ ...push, strength: 1e7 }, { ...ablate, strength: 0.5 }).logits(PROMPT);
  const session = await of(push, ablate).session({ context: 16 });
  assert.throws(() => session.set("addition", { strength: 1e12 }), /takes away/);
  assert.is(session.stage("addition").strength, 1);
  session.set("directional_ablation", { strength: 0 });
  session.set("addition", { strength: 1e12 });
  assert.throws(() => session.set("directional_ablation", { strength: 1 }), /takes away/);
  session.dispose();

  const scale = new Float32Array(drawn.d).fill(1);
  scale[3] = 1.5;
  const strong = await refusalOf(() => of(drawn.neurons({ scale }, { strength: 1e8 })).logits(PROMPT));
  assert.match(strong.message, /The strength of stage neurons is 100000000, and the scale of neuron 0 in layer 0 1:/);

  const v = Float32Array.from([...drawn.rows("v", 1), ...drawn.rows("w", 1e-38)]);
  const mixed = drawn.affine("low_rank", { v, u: drawn.rows("u", 1e38, 2) }, { gate: { clamp: [0, 0] } });
  const clamped = await refusalOf(() => of(mixed).logits(PROMPT));
  assert.match(clamped.message, /Stage low_rank, layer 0: gate clamps row 1 of v/);

  const { config } = random;
  const shape = listDestinations(config, "qkv_groups");
  const edges = [{ destination: shape.length - 1, source: 0, value: 0 }];
  assert.ok(visibleSources(config, shape.at(-1) as (typeof shape)[number]) > 0);
  const mask = (scale: number): Stage => ({
    id: "mask",
    kind: "edge_mask",
    strength: 1e-39,
    destinations: "qkv_groups",
    attn_bias: "per_head",
    replace: { attn: "constants", mlp: "constants", logits: "constants" },
    edges,
    constants: new Float32Array(listSources(config).length * config.hidden_size).fill(scale),
  });
  const weak = await refusalOf(() => of(mask(1e38)).logits(PROMPT));
  assert.match(weak.message, /The strength of stage mask is 1e-39, .* beside constants of up to 1e\+38/);
  await compare(model, random, { stages: [mask(1)], warnings: [] }, "a mask that is too weak to show");
  model.dispose();
});

test.run();
