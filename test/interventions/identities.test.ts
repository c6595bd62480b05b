/** What must hold of every edit, whatever the model: identities that need no expected numbers. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, storeFloat32, toFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import type { Model } from "../../src/index.ts";
import { listDestinations, listSources } from "../../src/interventions/edges.ts";
import type { AffineStage, Composition, EdgeMaskStage, Stage } from "../../src/interventions/stage.ts";
import { assertClose } from "../support/closeness.ts";
import { location, readBytes } from "../support/files.ts";
import { load } from "../support/load.ts";

const TOKENS = [65, 7, 28, 64, 1, 66, 100, 2, 3, 21];
const of = (...stages: Stage[]): Composition => ({ stages, warnings: [] });
const wave = (length: number, phase: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(1.3 * i + phase) + 0.2);

async function withModel(folder: string, use: (model: Model) => Promise<void>): Promise<void> {
  const model = await load(location(folder), { plan: "reference" });
  try {
    await use(model);
  } finally {
    model.dispose();
  }
}

function ace(model: Model, overrides: Partial<AffineStage> = {}): AffineStage {
  const d = model.config.hidden_size;
  return {
    id: "ace",
    kind: "affine",
    method: "ace",
    site: "resid_post",
    layers: [1],
    positions: "all",
    gate: "identity",
    alpha: 0.75,
    strength: 1,
    values: new Map([[1, { direction: wave(d, 1), reference: wave(d, 2) }]]),
    ...overrides,
  };
}

for (const folder of ["test/golden/gpt2-tiny", "test/golden/llama-tiny"]) {
  test(`${folder}: after ACE every edited token has the coordinate r̂·reference + α‖r‖`, () =>
    withModel(folder, async (model) => {
      const d = model.config.hidden_size;
      const [direction, reference] = [wave(d, 1), wave(d, 2)];
      const norm = Math.hypot(...direction);
      const along = (row: ArrayLike<number>) =>
        direction.reduce((sum, value, i) => sum + (value * (row[i] as number)) / norm, 0);
      const tokens = TOKENS.map((token) => token % model.config.vocab_size);
      const plain = await model.capture(tokens, ["resid_post.1"]);
      const stage = ace(model, { positions: { from: 3, to: 8 } });
      const edited = await model.withStages(of(stage)).capture(tokens, ["resid_post.1"]);
      const [before, after] = [plain, edited].map((sites) => sites.get("resid_post.1")?.data as Float32Array);
      for (const [t] of tokens.entries()) {
        const row = after?.subarray(t * d, (t + 1) * d) ?? [];
        const unedited = before?.subarray(t * d, (t + 1) * d) ?? [];
        if (t >= 3 && t < 8) assert.ok(Math.abs(along(row) - (along(reference) + 0.75 * norm)) < 1e-4, `token ${t}`);
        else assert.equal(row, unedited, `token ${t} is outside the positions`);
      }
    }));

  test(`${folder}: ablation is ACE at the origin, and edits of a coordinate applied twice change nothing more`, () =>
    withModel(folder, async (model) => {
      const d = model.config.hidden_size;
      const tokens = TOKENS.map((token) => token % model.config.vocab_size);
      const logits = async (...stages: Stage[]) => (await model.withStages(of(...stages)).logits(tokens)).data;
      const direction = wave(d, 1);
      const ablation = ace(model, { method: "directional_ablation", values: new Map([[1, { direction }]]) });
      const origin = ace(model, { alpha: 0, values: new Map([[1, { direction, reference: new Float32Array(d) }]]) });
      assertClose(await logits(ablation), await logits(origin), "ablation and ACE", 1e-6);
      for (const stage of [ablation, ace(model)]) {
        assertClose(await logits(stage, { ...stage, id: "again" }), await logits(stage), `${stage.method} twice`, 2e-6);
      }
    }));
}

function cutIntoLogits(model: Model): EdgeMaskStage {
  const destinations = model.config.num_attention_heads === model.config.num_key_value_heads ? "heads" : "qkv_groups";
  const destination = listDestinations(model.config, destinations).length - 1;
  const replace = { attn: "zero", mlp: "zero", logits: "zero" } as const;
  const edges = listSources(model.config).map((_, source) => ({ destination, source, value: 0 }));
  return { id: "cut", kind: "edge_mask", destinations, attn_bias: "per_head", replace, edges, strength: 1 };
}

/** ln_f.bias · W_U: what a GPT-2 whose head sees nothing says at every position. */
async function logitsOfNothing(folder: string, prefix: string, vocab: number, d: number): Promise<Float32Array> {
  const { tensors } = parseSafetensors(await readBytes(`${folder}/model.safetensors`));
  const floats = (name: string) => {
    const tensor = tensors.get(`${prefix}${name}`);
    if (!tensor) throw new Error(`${folder} has no ${name}`);
    return toFloat32(tensor);
  };
  const [bias, table] = [floats("ln_f.bias"), floats("wte.weight")];
  return Float32Array.from({ length: vocab }, (_, token) =>
    bias.reduce((sum, value, i) => sum + value * (table[token * d + i] as number), 0),
  );
}

for (const folder of ["test/golden/gpt2-tiny", "weights/gpt2-stories"]) {
  test(`${folder}: with all edges into the head cut, it says ln_f.bias · W_U everywhere`, () =>
    withModel(folder, async (model) => {
      const { vocab_size: vocab, hidden_size: d } = model.config;
      const tokens = TOKENS.slice(0, 4);
      const prefix = await prefixOf(folder);
      const expected = await logitsOfNothing(folder, prefix, vocab, d);
      const { data } = await model.withStages(of(cutIntoLogits(model))).logits(tokens);
      for (const [t] of tokens.entries())
        assertClose(data.slice(t * vocab, (t + 1) * vocab), expected, `token ${t}`, 1e-5);
    }));
}

async function prefixOf(folder: string): Promise<string> {
  const { tensors } = parseSafetensors(await readBytes(`${folder}/model.safetensors`));
  return tensors.has("transformer.ln_f.bias") ? "transformer." : "";
}

test("the same on a stream with values of 3,000", async () => {
  const folder = "test/golden/gpt2-tiny";
  const { tensors } = parseSafetensors(await readBytes(`${folder}/model.safetensors`));
  const prefix = await prefixOf(folder);
  const name = `${prefix}wpe.weight`;
  const stored = tensors.get(name);
  if (!stored) throw new Error(name);
  const positions = toFloat32(stored);
  // GPT-2's first position carries such values in a few dimensions.
  for (const column of [5, 17]) positions[column] = 3000;
  const changed = new Map(tensors).set(name, storeFloat32(positions, stored.shape));
  const files = [
    new File([writeSafetensors(changed)], "model.safetensors"),
    new File([new Uint8Array(await readBytes(`${folder}/config.json`))], "config.json"),
  ];
  const model = await load(files);
  try {
    const { vocab_size: vocab, hidden_size: d } = model.config;
    const { data } = await model.withStages(of(cutIntoLogits(model))).logits(TOKENS.slice(0, 3));
    const expected = await logitsOfNothing(folder, prefix, vocab, d);
    for (let t = 0; t < 3; t++) assertClose(data.slice(t * vocab, (t + 1) * vocab), expected, `token ${t}`, 1e-5);
  } finally {
    model.dispose();
  }
});

test("a mask of ones leaves every logit as it is, to the bit", () =>
  withModel("test/golden/llama-tiny", async (model) => {
    const tokens = TOKENS.map((token) => token % model.config.vocab_size);
    const plain = await model.logits(tokens);
    const cut = cutIntoLogits(model);
    const ones = { ...cut, edges: cut.edges.map((edge) => ({ ...edge, value: 1 })) };
    assert.equal((await model.withStages(of(ones)).logits(tokens)).data, plain.data);
    assert.equal((await model.withStages(of({ ...cut, edges: [] })).logits(tokens)).data, plain.data);
  }));

test.run();
