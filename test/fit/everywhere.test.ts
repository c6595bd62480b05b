/** Ablation everywhere: the model whose weights were projected by hand, in float64, and the same live and baked. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { requireOneLayer, takenEverywhere } from "../../src/fit/everywhere.ts";
import { storeFloat32, toFloat32 } from "../../src/formats/safetensors.ts";
import { type Bundle, bakeModel, chooseLayer, fitDirection, type Model } from "../../src/index.ts";
import { readBundle, writeBundle } from "../../src/interventions/bundle.ts";
import { compose } from "../../src/interventions/compose.ts";
import { noStages } from "../../src/interventions/stage.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { bundleOf } from "../interventions/model-configs.ts";
import { normal, seeded } from "../kernels/inputs.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference } from "../reference/open.ts";
import { openRandomModel } from "../reference/random-models.ts";
import type { Linear } from "../reference/rows.ts";
import type { ReferenceWeights } from "../reference/weights.ts";
import { assertClose } from "../support/closeness.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { myTurns } from "../support/turns.ts";

const TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5];

/** Every vector that is written to the stream, without its part along a direction. */
function projected(weights: ReferenceWeights, direction: Float32Array): ReferenceWeights {
  const unit = Float64Array.from(direction, (value) => value / Math.hypot(...direction));
  const width = unit.length;
  const project = (values: Float64Array, first: number, step: number): void => {
    let along = 0;
    for (let i = 0; i < width; i++) along += (values[first + i * step] as number) * (unit[i] as number);
    for (let i = 0; i < width; i++)
      values[first + i * step] = (values[first + i * step] as number) - along * (unit[i] as number);
  };
  const rows = (table: Float64Array): Float64Array => {
    const copy = table.slice();
    for (let first = 0; first < copy.length; first += width) project(copy, first, 1);
    return copy;
  };
  const writer = ({ weight, bias, inputs, outputs }: Linear): Linear => {
    const copy = weight.slice();
    for (let i = 0; i < inputs; i++) project(copy, i, inputs);
    return { weight: copy, bias: bias && rows(bias), inputs, outputs };
  };
  return {
    ...weights,
    tokens: rows(weights.tokens),
    positions: weights.positions && rows(weights.positions),
    blocks: weights.blocks.map((block) => ({ ...block, o: writer(block.o), down: writer(block.down) })),
  };
}

/** A bundle as a fit at one layer gives it. */
function fittedAt(config: ModelConfig, layer: number): { readonly bundle: Bundle; readonly direction: Float32Array } {
  const random = seeded(layer + config.hidden_size);
  const direction = Float32Array.from({ length: config.hidden_size }, () => normal(random));
  const stage = { id: "ablation_resid_post", kind: "affine", method: "directional_ablation", site: "resid_post" };
  const tensors = { [`${stage.id}.${layer}.direction`]: storeFloat32(direction, [direction.length]) };
  return { bundle: bundleOf(config, [{ ...stage, layers: [layer] }], tensors), direction };
}

async function baked(source: string | readonly File[], bundle: Bundle): Promise<File[]> {
  const { files, kept, close } = await bakeModel(source, [bundle]);
  assert.equal(kept, []);
  const made: File[] = [];
  for (const { name, read } of files) {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for await (const piece of read()) pieces.push(piece.slice());
    made.push(new File(pieces, name));
  }
  await close();
  return made;
}

test("random models: the stages and the baked weights are the projected weights, and the head is left alone", async () => {
  for (let seed = 0; seed < 8; seed++) {
    const { config, weights, files, summary } = await openRandomModel(seed);
    const layer = config.num_hidden_layers - 1;
    const { bundle, direction } = fittedAt(config, layer);
    const everywhere = readBundle(writeBundle(takenEverywhere(bundle, config, layer)), "everywhere");
    const run = { tokens: TOKENS.map((token) => token % config.vocab_size) };
    const expected = Float32Array.from(referenceForward(projected(weights, direction), config, noStages, run).logits);
    const live = referenceForward(weights, config, compose(config, [{ bundle: everywhere }]), run).logits;
    assertClose(Float32Array.from(live), expected, `stages, ${summary}`, 1e-6);
    const reopened = await openReference(await baked(files, everywhere));
    const { logits } = referenceForward(reopened.weights, reopened.config, noStages, run);
    assertClose(Float32Array.from(logits), expected, `baked, ${summary}`, 2e-5);
    assert.equal(reopened.weights.head.weight, weights.head.weight, `the head, ${summary}`);
  }
});

async function logitsOf(model: Model): Promise<Float32Array> {
  return (await model.logits(TOKENS)).data;
}

for (const name of myTurns(["gpt2-tiny", "llama3-tiny"])) {
  test(`${name}: fitted, live and baked, against the projected weights`, async () => {
    const folder = location(`test/golden/${name}`);
    const classes = {
      positive: [
        [1, 2, 3],
        [4, 5],
        [6, 2],
      ],
      negative: [[9, 8, 7, 6], [3, 3], [1]],
    };
    const model = await load(folder, { plan: "reference" });
    const { config } = model;
    const bundle = await fitDirection(model, "ablation", {
      ...classes,
      site: "resid_mid",
      layers: [1],
      everywhere: true,
    });
    assert.equal(
      bundle.manifest.stages.map((stage) => [stage.id, "layers" in stage ? stage.layers : null]),
      [
        ["ablation_resid_pre", [0]],
        ["ablation_attn_out", Array.from({ length: config.num_hidden_layers }, (_, layer) => layer)],
        ["ablation_mlp_out", Array.from({ length: config.num_hidden_layers }, (_, layer) => layer)],
      ],
    );
    assert.equal(bundle.manifest.fit?.["everywhere"], { site: "resid_mid", layer: 1 });
    const alone = await fitDirection(model, "ablation", { ...classes, site: "resid_mid", layers: [1] });
    const direction = toFloat32(alone.tensors.get("ablation_resid_mid.1.direction") as never);
    const { weights } = await openReference(folder);
    const expected = referenceForward(projected(weights, direction), config, noStages, { tokens: TOKENS }).logits;
    const edited = model.with([readBundle(writeBundle(bundle), "everywhere")]);
    assertClose(await logitsOf(edited), Float32Array.from(expected), "live");
    const restored = await load(await baked(folder, bundle), { plan: "reference" });
    assertClose(await logitsOf(restored), await logitsOf(edited), "baked");
    restored.dispose();
    const sites = Array.from({ length: config.num_hidden_layers }, (_, layer) => `resid_post.${layer}`);
    for (const [site, { data }] of await edited.capture(TOKENS, sites)) {
      for (let t = 0; t < TOKENS.length; t++) {
        const row = data.subarray(t * direction.length, (t + 1) * direction.length);
        const along = row.reduce((sum, value, i) => sum + value * (direction[i] as number), 0);
        assert.ok(
          Math.abs(along) < 1e-5 * Math.hypot(...row) * Math.hypot(...direction),
          `${site}, token ${t}: ${along}`,
        );
      }
    }
    assert.is(await codeOf(() => fitDirection(model, "ace", { ...classes, layers: [1], everywhere: true })), "usage");
    assert.is(await codeOf(() => fitDirection(model, "ablation", { ...classes, everywhere: true })), "usage");
    assert.is(await codeOf(() => chooseLayer(model, "addition", { ...classes, everywhere: true })), "usage");
    model.dispose();
  });
}

test("the layer is chosen by what taking its direction out everywhere does", async () => {
  const model = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
  const sentences = (first: number) => Array.from({ length: 6 }, (_, i) => [first + i, 3 * i + 1, first + 2 * i]);
  const options = { positive: sentences(40), negative: sentences(5), klBound: 1e9, everywhere: true };
  const { layer, table, bundle } = await chooseLayer(model, "ablation", options);
  const edited = model.with([bundle]);
  let effect = 0;
  const [held = []] = options.positive.slice(4, 5);
  const [p, q] = [await model.logits(held), await edited.logits(held)];
  const width = p.shape[1] as number;
  for (let t = 0; t < held.length; t++) {
    const [a, b] = [p, q].map(({ data }) => logSoftmax(data.subarray(t * width, (t + 1) * width))) as [
      Float64Array,
      Float64Array,
    ];
    effect += a.reduce((sum, value, i) => sum + Math.exp(value) * (value - (b[i] as number)), 0) / held.length;
  }
  const chosen = table.find((row) => row.layer === layer);
  assert.ok(Math.abs((chosen?.effect ?? 0) - effect) < 1e-4 * effect, `${chosen?.effect}, not ${effect}`);
  assert.is(Math.max(...table.map((row) => row.effect)), chosen?.effect);
  assert.equal(bundle.manifest.fit?.["everywhere"], { site: "resid_post", layer });
  assert.is(await codeOf(() => requireOneLayer("ablation", [1, 2])), "usage");
  model.dispose();
});

function logSoftmax(logits: Float32Array): Float64Array {
  const most = Math.max(...logits);
  const sum = logits.reduce((total, value) => total + Math.exp(value - most), 0);
  return Float64Array.from(logits, (value) => value - most - Math.log(sum));
}

test.run();
