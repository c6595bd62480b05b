/** Rows of which nothing is left but themselves, and inputs of which nothing is left at all, against float64. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, storeFloat32, toFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { listSources } from "../../src/interventions/edges.ts";
import { type Composition, type EdgeMaskStage, noStages } from "../../src/interventions/stage.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { normal } from "../reference/draw.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference } from "../reference/open.ts";
import { openRandomModel } from "../reference/random-models.ts";
import { assertClose } from "../support/closeness.ts";
import { readBytes, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { maskStage } from "../support/stages.ts";
import { myTurns } from "../support/turns.ts";

const FOLDER = "test/golden/llama-tiny";
const float32 = (values: Float64Array | undefined) => Float32Array.from(values ?? []);

/** llama-tiny with a window, and its keys made so large that scores reach ±1e30. */
async function windowed(window: number, keys: number): Promise<File[]> {
  const config = await readJson<object>(`${FOLDER}/config.json`);
  const { tensors } = parseSafetensors(await readBytes(`${FOLDER}/model.safetensors`), "weights");
  const changed = new Map(
    [...tensors].map(([name, tensor]) => {
      if (!name.endsWith("k_proj.weight")) return [name, tensor];
      return [
        name,
        storeFloat32(
          toFloat32(tensor).map((value) => value * keys),
          tensor.shape,
        ),
      ];
    }),
  );
  return [
    new File([JSON.stringify({ ...config, model_type: "mistral", sliding_window: window })], "config.json"),
    new File([writeSafetensors(changed)], "model.safetensors"),
  ];
}

for (const [window, keys] of myTurns([
  [1, -1e30],
  [2, 1e30],
] as const)) {
  test(`a window of ${window} and keys times ${keys}: each row sees what its window holds, and nothing else`, async () => {
    const files = await windowed(window, keys);
    const { config, weights } = await openReference(files);
    const model = await load(files);
    const tokens = Array.from({ length: 70 }, (_, i) => (i * 37 + 5) % config.vocab_size);
    const { logits } = referenceForward(weights, config, noStages, { tokens });
    assertClose((await model.logits(tokens)).data, float32(logits), "in one prompt");
    const generated = await model.generate(tokens.slice(0, 20), { maxNewTokens: 30, stopTokens: [] }).result();
    const run = [...tokens.slice(0, 20), ...generated.tokens];
    const after = referenceForward(weights, config, noStages, { tokens: run });
    generated.tokens.forEach((token, i) => {
      const row = after.logits.subarray((19 + i) * config.vocab_size, (20 + i) * config.vocab_size);
      assert.is(token, row.indexOf(Math.max(...row)), `token ${i}`);
    });
    model.dispose();
  });
}

/** A mask of all edges into the destinations named, each kept by `value`. */
function maskOf(
  config: ModelConfig,
  into: (destination: string) => boolean,
  { value = 0, ...own }: Partial<EdgeMaskStage> & { readonly value?: number } = {},
): Composition {
  const stage = maskStage(config, (_, destination) => (into(destination) ? value : undefined), own);
  return { stages: [stage], warnings: [] };
}

for (const seed of myTurns([2])) {
  test(`seed ${seed}: destinations that read nothing of any source`, async () => {
    const { files, config, weights, summary } = await openRandomModel(seed);
    const model = await load(files);
    const tokens = [1, 5, 9, 13, 2, 30];
    const constants = normal(seed, "constants", listSources(config).length * config.hidden_size, 0.3);
    const first = (destination: string) => destination === "blocks.0.q.0";
    const last = (destination: string) => destination === "logits";
    const all = () => true;
    const cases: Readonly<Record<string, Composition>> = {
      "the first": maskOf(config, first),
      "the logits": maskOf(config, last),
      "all, replaced": maskOf(config, all, { constants }),
      all: maskOf(config, all),
      "all, the bias apart": maskOf(config, all, { attn_bias: "separate" }),
      "all, by half": maskOf(config, all, { strength: 0.5, constants }),
      "all, to the very least": maskOf(config, all, { value: 1e-30 }),
    };
    for (const [name, composition] of Object.entries(cases)) {
      const edited = model.withStages(composition);
      const { logits, sites } = referenceForward(weights, config, composition, { tokens, sites: ["resid_post.0"] });
      const { data } = await edited.logits(tokens);
      assert.ok(data.every(Number.isFinite), `${name}: ${summary}`);
      assertClose(data, float32(logits), `${name}: ${summary}`);
      // Captures take kernels of their own.
      if (name !== "all, replaced") continue;
      const stream = (await edited.capture(tokens, ["resid_post.0"])).get("resid_post.0")?.data as Float32Array;
      assertClose(stream, float32(sites.get("resid_post.0")), `${name}, the stream: ${summary}`);
    }
    model.dispose();
  });
}

test.run();
