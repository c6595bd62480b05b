/** Probes, neurons read along them, and the choice of a layer, against what must hold exactly. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { fitLogistic } from "../../src/fit/logistic.ts";
import { storeFloat32, toFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import {
  type Bundle,
  chooseLayer,
  fitDirection,
  fitNeurons,
  fitProbe,
  readProbe,
  readValueVectors,
  writeProbe,
} from "../../src/index.ts";
import { readBundle, writeBundle } from "../../src/interventions/bundle.ts";
import { baseOf } from "../../src/interventions/compose.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { dot } from "../../src/numbers/dot.ts";
import { normal, seeded } from "../kernels/inputs.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

/** Sentences that differ in which half of the vocabulary their tokens come from. */
function sentences(count: number, half: 0 | 1, vocab: number, seed: number): readonly (readonly number[])[] {
  const random = seeded(seed);
  return Array.from({ length: count }, (_, i) =>
    Array.from({ length: 3 + (i % 5) }, () => {
      const own = Math.floor((random() * vocab) / 2);
      return random() < 0.9 ? own + half * Math.floor(vocab / 2) : Math.floor(random() * vocab);
    }),
  );
}

function classes(vocab: number, count = 20) {
  return { positive: sentences(count, 1, vocab, 1), negative: sentences(count, 0, vocab, 2) };
}

test("the least of the logistic objective: its gradient vanishes, and it is the one of a plain descent", () => {
  const random = seeded(5);
  const rows = Array.from({ length: 40 }, () => Float32Array.from({ length: 3 }, () => 4 * normal(random)));
  const labels = rows.map((row) => (row[0] as number) - 0.5 * (row[2] as number) + 2 * normal(random) > 1);
  const { weight, bias } = fitLogistic(rows, labels, { l2: 0.7 });
  const gradientAt = (w: readonly number[], b: number): number[] => {
    const gradient = [...w.map((value) => 0.7 * value), 0];
    rows.forEach((row, i) => {
      const error = 1 / (1 + Math.exp(-(dot(row, w) + b))) - (labels[i] ? 1 : 0);
      row.forEach((x, j) => (gradient[j] = (gradient[j] as number) + error * x));
      gradient[3] = (gradient[3] as number) + error;
    });
    return gradient;
  };
  assert.ok(Math.max(...gradientAt([...weight], bias).map(Math.abs)) < 1e-6);
  let point = [0, 0, 0, 0];
  for (let step = 0; step < 20000; step++) {
    const gradient = gradientAt(point.slice(0, 3), point[3] as number);
    point = point.map((value, j) => value - 0.003 * (gradient[j] as number));
  }
  [...weight, bias].forEach((value, j) =>
    assert.ok(Math.abs(value - (point[j] as number)) < 1e-4, `${value}, ${point[j]}`),
  );
});

test("separable classes and columns in the thousands are fitted too", () => {
  const rows = [-3000, -2999, 3000, 3001].map((x, i) => Float32Array.of(x, i % 2, 0));
  const { weight, bias } = fitLogistic(rows, [false, false, true, true]);
  rows.forEach((row, i) => assert.is(dot(row, weight) + bias > 0, i > 1));
  assert.ok([...weight, bias].every(Number.isFinite));
});

inTurn("a probe separates held-out sentences, and its file restores it", async () => {
  const model = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
  const both = classes(model.config.vocab_size, 120);
  const probe = await fitProbe(model, both);
  assert.is(probe.layer, model.config.num_hidden_layers - 1);
  assert.is(probe.held_out?.n, 48);
  assert.ok((probe.held_out?.auroc ?? 0) > 0.85, `AUROC ${probe.held_out?.auroc}`);
  assert.equal(readProbe(writeProbe(probe), "p"), probe);
  assert.is(await codeOf(async () => readProbe(writeBundle(await fitDirection(model, "ace", both)), "b")), "bad_file");
  assert.is(await codeOf(() => fitProbe(model, { ...both, positive: [] })), "usage");
  assert.is(await codeOf(() => fitProbe(model, { ...both, layer: 99 })), "usage");
  model.dispose();
});

test("a file that says something twice, or whose numbers are not those of one direction, is no probe", async () => {
  const about = '{"site":"resid_post","layer":1,"layer":0}';
  const fileOf = (text: string, shape: readonly number[]): Uint8Array =>
    writeSafetensors(
      new Map([
        ["weight", storeFloat32(Float32Array.of(1, 2, 3, 4), shape)],
        ["bias", storeFloat32(Float32Array.of(0), [1])],
      ]),
      { sluice_probe: text },
    );
  assert.throws(() => readProbe(fileOf(about, [4]), "p"), /has "layer" twice/);
  const once = about.replace(',"layer":0', "");
  assert.throws(() => readProbe(fileOf(once, [2, 2]), "p"), /weight is \[2,2\] and bias \[1\]/);
  assert.is(readProbe(fileOf(once, [4]), "p").layer, 1);
});

for (const name of ["gpt2-tiny", "llama3-tiny"]) {
  inTurn(`${name}: what neurons write along a direction sums to what the MLP writes`, async () => {
    const folder = location(`test/golden/${name}`);
    const model = await load(folder, { plan: "reference" });
    const { config } = model;
    const random = seeded(11);
    const direction = Float32Array.from({ length: config.hidden_size }, () => normal(random));
    const length = Math.sqrt(dot(direction, direction));
    const tokens = [3, 1, 4, 1, 5];
    const layers = [config.num_hidden_layers - 1];
    const names = layers.flatMap((layer) => [`mlp_post.${layer}`, `mlp_out.${layer}`]);
    const sites = await model.capture(tokens, names);
    const vectors = await readValueVectors(model, folder, direction);
    for (const layer of layers) {
      const [activations, outputs] = [sites.get(`mlp_post.${layer}`), sites.get(`mlp_out.${layer}`)];
      // b_out, as what the layer writes where no neuron does.
      const silent = silence(config, layer);
      const bias = (await model.with([silent]).capture(tokens, [`mlp_out.${layer}`])).get(`mlp_out.${layer}`);
      for (let t = 0; t < tokens.length; t++) {
        const row = (matrix: typeof outputs): Float32Array => {
          const width = matrix?.shape[1] ?? 0;
          return matrix?.data.subarray(t * width, (t + 1) * width) ?? new Float32Array(0);
        };
        const written = row(outputs).map((value, i) => value - (row(bias)[i] as number));
        const expected = dot(written, direction) / length;
        const along = vectors[layer]?.along ?? new Float64Array(0);
        const sum = dot(row(activations), along);
        const scale = row(activations).reduce((most, a, i) => most + Math.abs(a * (along[i] as number)), 0);
        assert.ok(Math.abs(sum - expected) < 2e-6 * Math.max(1, scale), `layer ${layer}, ${t}: ${sum}, ${expected}`);
      }
    }
    model.dispose();
  });
}

inTurn("neurons fall into four groups, and the bundle sets the chosen ones", async () => {
  const folder = location("test/golden/gpt2-tiny");
  const model = await load(folder, { plan: "reference" });
  const both = classes(model.config.vocab_size);
  const probe = await fitProbe(model, both);
  const alpha = 0.25;
  const { bundle, groups } = await fitNeurons(model, folder, { probe, texts: both.negative, alpha, share: 0.5 });
  const { num_hidden_layers, intermediate_size } = model.config;
  assert.is(
    Object.values(groups).reduce((sum, { neurons }) => sum + neurons, 0),
    num_hidden_layers * intermediate_size,
  );
  assert.ok(groups.TP.readout > 0 && groups.AN.readout > 0 && groups.TN.readout < 0 && groups.AP.readout < 0);
  for (const { neurons, edited } of Object.values(groups)) assert.is(edited, Math.round(neurons / 2));
  const edited = model.with([readBundle(writeBundle(bundle), "neurons")]);
  const site = `mlp_post.${num_hidden_layers - 1}`;
  const { data } = (await edited.capture([5, 6], [site])).get(site) ?? { data: new Float32Array(0) };
  const id = "neurons_mlp_post";
  const of = (tensor: string) => toFloat32(bundle.tensors.get(`${id}.${num_hidden_layers - 1}.${tensor}`) as never);
  const [scale, shift] = [of("scale"), of("shift")];
  let set = 0;
  scale.forEach((factor, i) => {
    if (factor !== 0) return;
    set++;
    assert.is(data[i], shift[i]);
    assert.is(data[intermediate_size + i], shift[i]);
  });
  assert.ok(set > 0);
  model.dispose();
});

inTurn("auto takes the layer of the greatest effect within the bound, and reports the candidates", async () => {
  const model = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
  const both = classes(model.config.vocab_size, 10);
  const free = await chooseLayer(model, "ablation", { ...both, klBound: 1e9 });
  assert.equal(
    free.table.map(({ layer }) => layer),
    Array.from({ length: model.config.num_hidden_layers }, (_, layer) => layer),
  );
  assert.is(free.layer, [...free.table].sort((a, b) => b.effect - a.effect)[0]?.layer);
  assert.equal(
    [...free.bundle.tensors.keys()].map((key) => Number(key.split(".")[1])).every((l) => l === free.layer),
    true,
  );
  const least = [...free.table].sort((a, b) => a.cost - b.cost)[0];
  const bound = await chooseLayer(model, "ablation", { ...both, klBound: least?.cost ?? 0 });
  assert.is(bound.layer, least?.layer);
  assert.is(await codeOf(() => chooseLayer(model, "ablation", { ...both, klBound: 0 })), "usage");
  assert.is(await codeOf(() => chooseLayer(model, "ace", classes(8, 3))), "usage");
  model.dispose();
});

/** Sets all neurons of a layer to 0. */
function silence(config: ModelConfig, layer: number): Bundle {
  const width = config.intermediate_size;
  return {
    file: "silence",
    manifest: {
      name: "silence",
      base: baseOf(config),
      stages: [{ id: "silence", kind: "neuron_scale", site: "mlp_post", layers: [layer] }],
    },
    tensors: new Map([[`silence.${layer}.scale`, { dtype: "F32", shape: [width], bytes: new Uint8Array(4 * width) }]]),
    metadata: new Map(),
  };
}

test.run();
