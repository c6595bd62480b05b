/** The last position of a context, and the last id of vocabularies that are no multiples of four, against float64. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, storeFloat32, toFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { type Composition, noStages } from "../../src/interventions/stage.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference } from "../reference/open.ts";
import { assertClose } from "../support/closeness.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { pushStage } from "../support/stages.ts";
import { sharedOut } from "../support/turns.ts";

const FOLDER = "test/golden/gpt2-tiny";
const share = sharedOut(test);

share("a context is used to its last position, by stages too, and no further", async () => {
  const { config, weights } = await openReference(location(FOLDER));
  const model = await load(location(FOLDER));
  const context = config.max_position_embeddings;
  const tokens = Array.from({ length: context }, (_, i) => (i * 37 + 5) % config.vocab_size);
  const last = pushStage(Float32Array.from({ length: config.hidden_size }, (_, i) => 3 * Math.sin(i * 1.7)));
  const stages: Composition = {
    stages: [{ ...last, positions: [context - 1] } as Composition["stages"][0]],
    warnings: [],
  };
  const edited = model.withStages(stages);
  const { logits, sites } = referenceForward(weights, config, stages, { tokens, sites: ["resid_post.1"] });
  assertClose((await edited.logits(tokens)).data, Float32Array.from(logits), "logits");
  const captured = await edited.capture(tokens, ["resid_post.1"]);
  assertClose(
    captured.get("resid_post.1")?.data as Float32Array,
    Float32Array.from(sites.get("resid_post.1") ?? []),
    "stream",
  );
  const filled = await model.generate(tokens.slice(0, -3), { maxNewTokens: 10 }).result();
  // The token that follows the last position is drawn, but has no place of its own.
  assert.is(filled.finish, "context");
  const run = [...tokens.slice(0, -3), ...filled.tokens];
  const plain = referenceForward(weights, config, noStages, { tokens: run.slice(0, context) });
  filled.tokens.forEach((token, i) => {
    const row = plain.logits.subarray((context - 4 + i) * config.vocab_size, (context - 3 + i) * config.vocab_size);
    assert.is(token, row.indexOf(Math.max(...row)), `token ${i}`);
  });
});

share("vocabularies of 1 and 5 ids are chosen from to their last, and no further", async () => {
  const config = await readJson<Record<string, unknown>>(`${FOLDER}/config.json`);
  const { tensors } = parseSafetensors(await readBytes(`${FOLDER}/model.safetensors`), "weights");
  const embedding = [...tensors.keys()].find((name) => name.endsWith("wte.weight")) as string;
  const rows = toFloat32(tensors.get(embedding) as Parameters<typeof toFloat32>[0]);
  for (const vocabulary of [1, 5]) {
    const changed = new Map(tensors).set(embedding, storeFloat32(rows.slice(0, vocabulary * 48), [vocabulary, 48]));
    const files = [
      new File([JSON.stringify({ ...config, vocab_size: vocabulary })], "config.json"),
      new File([writeSafetensors(changed)], "model.safetensors"),
    ];
    const model = await load(files);
    const prompt = [vocabulary - 1, 0, vocabulary - 1];
    const { config: read, weights } = await openReference(files);
    const { logits } = referenceForward(weights, read, noStages, { tokens: prompt });
    const row = logits.subarray(2 * vocabulary);
    assertClose((await model.logits(prompt)).data, Float32Array.from(logits), `${vocabulary} ids`);
    const total = row.reduce((sum, value) => sum + Math.exp(value), 0);
    const said = await model.generate(prompt, { maxNewTokens: 1, logprobs: true, topLogprobs: 20 }).result();
    assert.is(said.tokens[0], row.indexOf(Math.max(...row)));
    const top = said.logprobs?.[0]?.top ?? [];
    assert.is(top.length, vocabulary);
    for (const { token, logprob } of top) {
      assert.ok(Math.abs(logprob - ((row[token] as number) - Math.log(total))) < 1e-4, `token ${token}`);
    }
    // Driven to the last id, and drawn at a temperature at which every id is as likely.
    const bias = { logitBias: { [vocabulary - 1]: 100 }, maxNewTokens: 2 };
    assert.equal((await model.generate(prompt, bias).result()).tokens, [vocabulary - 1, vocabulary - 1]);
    const drawn = await model.generate(prompt, { maxNewTokens: 40, temperature: 1e30, seed: 1 }).result();
    assert.equal(new Set(drawn.tokens).size, vocabulary);
  }
});

test.run();
