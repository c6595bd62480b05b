/** Fits at chosen tokens and of conversations, against plain loops in float64 over the reference's own values. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Pooling, poolSentences } from "../../src/fit/pool.ts";
import { toFloat32 } from "../../src/formats/safetensors.ts";
import { fitAura, fitDirection, fitNeurons, fitProbe, type TokenChoice } from "../../src/index.ts";
import { noStages } from "../../src/interventions/stage.ts";
import { bundleOf, vector } from "../interventions/model-configs.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference } from "../reference/open.ts";
import { assertClose } from "../support/closeness.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { myTurns } from "../support/turns.ts";

const positive = [
  [1, 2, 3],
  [4, 5, 6, 7, 8, 9, 1],
  [6, 2, 9, 9, 2],
];
const negative = [
  [9, 8, 7, 6],
  [3, 3, 1],
  [5, 4, 3, 2, 1, 0],
];

/** Positions that are read of a sentence, written as their definition reads. */
function positionsOf(length: number, token: TokenChoice): readonly number[] {
  const all = Array.from({ length }, (_, position) => position);
  if (typeof token === "string") return all.slice(-Number(token.slice("mean:".length)));
  return [all.at(token) as number];
}

for (const name of myTurns(["gpt2-tiny", "llama3-tiny"])) {
  test(`${name}: directions, AurA, probes and neurons at tokens of every form`, async () => {
    const folder = location(`test/golden/${name}`);
    const { config, weights } = await openReference(folder);
    const model = await load(folder, { plan: "reference" });
    const last = config.num_hidden_layers - 1;
    const layers = [0, last];
    const responses = (sentences: typeof positive, site: string, token: TokenChoice): readonly Float64Array[] =>
      sentences.map((tokens) => {
        const values = referenceForward(weights, config, noStages, { tokens, sites: [site] }).sites.get(site);
        const width = (values?.length ?? 0) / tokens.length;
        const read = positionsOf(tokens.length, token);
        return Float64Array.from(
          { length: width },
          (_, j) => read.reduce((sum, t) => sum + (values?.[t * width + j] as number), 0) / read.length,
        );
      });
    const meanOf = (rows: readonly Float64Array[]): Float32Array =>
      Float32Array.from(rows[0] ?? [], (_, j) => rows.reduce((sum, row) => sum + (row[j] as number), 0) / rows.length);
    for (const token of [-1, -2, 1, 0, "mean:2", "mean:3"] as const) {
      const bundle = await fitDirection(model, "ace", { positive, negative, layers, token });
      for (const layer of layers) {
        const fitted = (tensor: string) => toFloat32(bundle.tensors.get(`ace_resid_post.${layer}.${tensor}`) as never);
        const site = `resid_post.${layer}`;
        assertClose(fitted("mean_pos"), meanOf(responses(positive, site, token)), `${token}, ${site}`, 2e-5);
        assertClose(fitted("mean_neg"), meanOf(responses(negative, site, token)), `${token}, ${site}`, 2e-5);
      }
      assert.is(bundle.manifest.fit?.["token"], token);
    }
    for (const token of [-2, "mean:2"] as const) {
      const aura = await fitAura(model, { positive, negative, sites: ["mlp_out"], token });
      const areas = toFloat32(aura.bundle.tensors.get(`aura_mlp_out.${last}.auroc`) as never);
      const [above, below] = [positive, negative].map((each) => responses(each, `mlp_out.${last}`, token)) as [
        readonly Float64Array[],
        readonly Float64Array[],
      ];
      const expected = areas.map((_, j) => {
        const wins = above.flatMap((a) => below.map((b) => ((a[j] as number) > (b[j] as number) ? 1 : 0)));
        return wins.reduce<number>((sum, win) => sum + win, 0) / wins.length;
      });
      // Two of nearly the same size may change places in float32: one pair of nine.
      areas.forEach((area, j) => assert.ok(Math.abs(area - (expected[j] as number)) < 0.12, `neuron ${j}: ${area}`));
      assert.ok(areas.filter((area, j) => Math.abs(area - (expected[j] as number)) > 1e-6).length <= 1);
    }
    const probe = await fitProbe(model, { positive, negative, heldOut: 0, token: -2 });
    const cut = (sentences: typeof positive) => sentences.map((tokens) => tokens.slice(0, -1));
    const same = await fitProbe(model, { positive: cut(positive), negative: cut(negative), heldOut: 0, token: -1 });
    assertClose(probe.weight, same.weight, "probe at −2", 1e-5);
    const { bundle } = await fitNeurons(model, folder, { probe, texts: positive, alpha: 0, share: 1, token: "mean:2" });
    const shift = toFloat32(bundle.tensors.get(`neurons_mlp_post.${last}.shift`) as never);
    assertClose(shift, meanOf(responses(positive, `mlp_post.${last}`, "mean:2")), "means of neurons", 2e-5);
    model.dispose();
  });
}

test("sentences that end early keep their prompt length, and long ones are put together from their steps", async () => {
  const plain = await load(location("weights/stories260K"), { plan: "reference" });
  const { config } = plain;
  const direction = vector(...Array.from({ length: config.hidden_size }, (_, i) => Math.sin(i)));
  const stage = { id: "a", kind: "affine", method: "addition", site: "resid_mid", layers: [1], positions: [-3, 0] };
  const model = plain.with([bundleOf(config, [stage], { "a.1.direction": direction })]);
  const sentences = [7, 300, 512, 5].map((length, i) => {
    return { tokens: Array.from({ length }, (_, t) => (t * 37 + i) % config.vocab_size), end: length - 2 };
  });
  const site = `resid_post.${config.num_hidden_layers - 1}`;
  const captured: Float32Array[] = [];
  for (const { tokens } of sentences)
    captured.push((await model.capture(tokens, [site])).get(site)?.data ?? new Float32Array(0));
  const width = config.hidden_size;
  for (const [pooling, reach] of [
    ["last", 1],
    ["mean:3", 3],
    ["mean:1", 1],
  ] as const satisfies readonly (readonly [Pooling, number])[]) {
    await poolSentences(model, sentences, [site], pooling, (i, responses) => {
      const { end } = sentences[i] as (typeof sentences)[number];
      const data = captured[i] as Float32Array;
      const expected = Float32Array.from({ length: width }, (_, j) => {
        let sum = 0;
        for (let t = end - reach; t < end; t++) sum += data[t * width + j] as number;
        return sum / reach;
      });
      assertClose(responses.get(site) as Float32Array, expected, `${pooling}, sentence ${i}`, reach === 1 ? 0 : 1e-6);
    });
  }
  plain.dispose();
});

test("conversations are fitted as the ids that the template lays out", async () => {
  const model = await load(location("weights/stories260K"), { plan: "reference" });
  const { tokenizer } = model;
  const texts = { positive: ["A dog ran.", "One day, a cat"], negative: ["Tim had a red ball.", "The sun"] };
  const ids = (sentences: readonly string[]) =>
    sentences.map((content) => {
      const text = tokenizer?.applyChatTemplate([{ role: "user", content }], { addGenerationPrompt: true }) ?? "";
      return tokenizer?.encode(text, { addSpecialTokens: false }) ?? [];
    });
  const byIds = { positive: ids(texts.positive), negative: ids(texts.negative) };
  const chat = await fitDirection(model, "ablation", { ...texts, chat: true, token: -2, layers: [2] });
  const plain = await fitDirection(model, "ablation", { ...byIds, token: -2, layers: [2] });
  assert.equal([...chat.tensors], [...plain.tensors]);
  assert.equal([chat.manifest.fit?.["chat"], chat.manifest.fit?.["pooling"]], [true, "token -2"]);
  model.dispose();
});

test.run();
