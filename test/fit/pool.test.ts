/** Pooled responses are those of the tokens' captured values: at every site, in the site's own order of columns. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { offeredSites } from "../../src/compile/captures.ts";
import { fuse } from "../../src/compile/fuse.ts";
import type { Pooling } from "../../src/fit/pool.ts";
import { parseSafetensors, storeFloat32, toFloat32 } from "../../src/formats/safetensors.ts";
import { fitAura, loadBundle, type Model, poolResponses } from "../../src/index.ts";
import { seeded } from "../kernels/inputs.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { modelFiles } from "../support/model-files.ts";
import { codeOf } from "../support/refusal-code.ts";
import { myTurns, sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

const POOLINGS: readonly Pooling[] = ["max", "last", "mean"];

function allSites(model: Model): readonly string[] {
  const { graph } = model.internals;
  return [...offeredSites(graph, fuse(graph)).keys()].filter((site) => !site.startsWith("attn_pattern"));
}

function sentencesOf(lengths: readonly number[], vocab: number): readonly (readonly number[])[] {
  const random = seeded(lengths.length);
  return lengths.map((length) => Array.from({ length }, () => Math.floor(random() * vocab)));
}

/** Pools what `capture` gives for each sentence alone: to the bit, but for means, which are rounded on the way. */
async function checkAgainstCaptures(
  model: Model,
  sentences: readonly (readonly number[])[],
  sites: readonly string[],
  poolings = POOLINGS,
): Promise<void> {
  const captured: Awaited<ReturnType<Model["capture"]>>[] = [];
  for (const tokens of sentences) captured.push(await model.capture(tokens, sites));
  for (const pooling of poolings) {
    let taken = 0;
    await poolResponses(model, sentences, sites, pooling, (sentence, responses) => {
      assert.is(sentence, taken++);
      assert.equal([...responses.keys()], sites);
      for (const [site, response] of responses) {
        const { data, shape } = captured[sentence]?.get(site) ?? { data: new Float32Array(0), shape: [0, 0] };
        const [tokens = 0, width = 0] = shape;
        assert.is(response.length, width, site);
        response.forEach((value, j) => {
          const column = Array.from({ length: tokens }, (_, t) => data[t * width + j] as number);
          const what = `${pooling} at ${site}, sentence ${sentence}, column ${j}`;
          if (pooling === "max") return assert.is(value, Math.max(...column), what);
          if (pooling === "last") return assert.is(value, column.at(-1), what);
          const mean = column.reduce((sum, each) => sum + each, 0) / tokens;
          const size = column.reduce((sum, each) => sum + Math.abs(each), 0) / tokens;
          assert.ok(Math.abs(value - mean) <= 2e-6 * size, `${what}: ${value}, not ${mean}`);
        });
      }
    });
    assert.is(taken, sentences.length);
  }
}

for (const name of myTurns(["gpt2-tiny", "llama3-tiny"])) {
  test(`${name}: every site, sentences of many lengths`, async () => {
    const model = await load(location(`test/golden/${name}`), { plan: "reference" });
    const sentences = sentencesOf([1, 7, 2, 40, 33, 64, 64, 5, 50, 1], model.config.vocab_size);
    await checkAgainstCaptures(model, sentences, allSites(model));
    model.dispose();
  });

  inTurn(`${name}: with stages on${name === "gpt2-tiny" ? ", and with all of them off" : ""}`, async () => {
    const folder = `test/golden/${name}`;
    const plain = await load(location(folder), { plan: "reference" });
    const bundle = await loadBundle(location(`${folder}/everything.safetensors`));
    const sentences = sentencesOf([3, 9, 1, 17], plain.config.vocab_size);
    const last = plain.config.num_hidden_layers - 1;
    const sites = [`mlp_out.${last}`, "attn_out.0", `resid_post.${last}`, "mlp_post.1", "resid_post.0"];
    await checkAgainstCaptures(plain.with([bundle]), sentences, sites);
    if (name !== "gpt2-tiny") return plain.dispose();
    const off = new Map(bundle.manifest.stages.map(({ id }) => [id, 0]));
    await checkAgainstCaptures(plain.with([bundle], { strengths: off }), sentences, sites);
    plain.dispose();
  });
}

inTurn("sentences that take several steps are put together from their parts", async () => {
  const model = await load(location("weights/stories260K"), { plan: "reference" });
  const sentences = sentencesOf([300, 3, 512, 257, 256], model.config.vocab_size);
  await checkAgainstCaptures(model, sentences, ["attn_q.1", "resid_post.4", "mlp_post.2"]);
  model.dispose();
});

inTurn("nothing is run after the last site, and no logits are made", async () => {
  const model = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
  const whole = model.plan({ context: 8 });
  const pooled = model.plan({ context: 8, captures: ["mlp_pre.1"], pooling: "max" });
  const labels = pooled.body.map(({ label }) => label);
  assert.equal(
    labels.filter((label) => !label.startsWith("pool")),
    whole.body.map(({ label }) => label).slice(0, labels.length - 1),
  );
  assert.equal(labels.slice(-2), ["blocks.1.mlp.up", "pool mlp_pre.1"]);
  assert.equal([pooled.finalNorm, pooled.head], [[], []]);
  model.dispose();
});

test("a stream that leaves float32 is reported, at any token", async () => {
  const folder = "test/golden/gpt2-tiny";
  const { tensors } = parseSafetensors(await readBytes(`${folder}/model.safetensors`));
  const damaged = new Map(tensors);
  const [name, table] = [...tensors].find(([key]) => key.endsWith("wte.weight")) ?? [];
  assert.ok(name && table);
  const values = toFloat32(table);
  // Their squares overflow in the first norm.
  for (let i = 5 * 48; i < 6 * 48; i++) values[i] = i % 2 === 0 ? 1e30 : -1e30;
  damaged.set(name, storeFloat32(values, table.shape));
  const config = (await readJson(`${folder}/config.json`)) as Record<string, unknown>;
  const model = await load(modelFiles({ tensors: damaged, config }), { plan: "reference" });
  const pool = (tokens: readonly number[], pooling: Pooling) =>
    poolResponses(model, [[1, 2], tokens], ["mlp_pre.0"], pooling, () => undefined);
  for (const tokens of [
    [5, 1, 2],
    [1, 5, 2],
    [1, 2, 5],
  ]) {
    for (const pooling of POOLINGS) {
      // Every token after the damaged one is damaged too, the last token always.
      assert.is(await codeOf(() => pool(tokens, pooling)), "non_finite", `${pooling} of ${tokens}`);
    }
  }
  await pool([1, 2, 4], "max");
  assert.is(await codeOf(() => fitAura(model, { positive: [[1, 5]], negative: [[2]] })), "non_finite");
  model.dispose();
});

test("softmax weights have no columns to pool, and unknown sites are refused as ever", async () => {
  const model = await load(location("test/golden/gpt2-tiny"), { plan: "reference" });
  const pool = (site: string) => poolResponses(model, [[1, 2]], [site], "max", () => undefined);
  assert.is(await codeOf(() => pool("attn_pattern.0")), "usage");
  assert.is(await codeOf(() => pool("mlp_pre.9")), "usage");
  model.dispose();
});

test.run();
