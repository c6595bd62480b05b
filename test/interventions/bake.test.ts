/** Baked weights with what stays live compute what the plain weights with all stages do, by the float64 reference. */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { buildGraph } from "../../src/architectures/build.ts";
import { readConfig } from "../../src/architectures/read-config.ts";
import { SluiceError } from "../../src/errors.ts";
import type { Checkpoint } from "../../src/formats/checkpoint.ts";
import { openCheckpoint } from "../../src/formats/huggingface.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { type StoredTensor, storeFloat32 } from "../../src/formats/safetensors.ts";
import { readJson } from "../../src/formats/source.ts";
import { type Baked, bake } from "../../src/interventions/bake.ts";
import { readBundle, writeBundle } from "../../src/interventions/bundle.ts";
import { checkPositions, type RefuseField } from "../../src/interventions/check-positions.ts";
import { compose } from "../../src/interventions/compose.ts";
import { remainderOf } from "../../src/interventions/decompose.ts";
import type { Positions } from "../../src/interventions/positions.ts";
import { type Composition, noStages } from "../../src/interventions/stage.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { referenceForward } from "../reference/forward.ts";
import { randomCompositions, randomRuns } from "../reference/random-compositions.ts";
import { openRandomModel } from "../reference/random-models.ts";
import { arrange, readTensors } from "../reference/weights.ts";
import { assertClose } from "../support/closeness.ts";
import { location } from "../support/files.ts";
import { bundleOf } from "./model-configs.ts";

interface Opened {
  readonly json: Readonly<Record<string, unknown>>;
  readonly config: ModelConfig;
  readonly checkpoint: Checkpoint;
}

async function open(from: string | readonly File[]): Promise<Opened> {
  const source = await openSource(from);
  const json = (await readJson(source, "config.json")) as Record<string, unknown>;
  const stored = await openCheckpoint(source);
  const bytes = new Map<string, Uint8Array>();
  for (const { name, byteLength } of stored.tensors.values()) bytes.set(name, await stored.read(name, 0, byteLength));
  await stored.close();
  return { json, config: readConfig(json, "config.json"), checkpoint: inMemory(stored.tensors, bytes) };
}

function inMemory(tensors: Checkpoint["tensors"], bytes: ReadonlyMap<string, Uint8Array>): Checkpoint {
  return {
    tensors,
    read: async (name, begin, end) => new Uint8Array((bytes.get(name) ?? new Uint8Array(0)).subarray(begin, end)),
    close: async () => undefined,
  };
}

/** The baked model as any engine sees it: what its files hold, read back. */
async function reopen({ json }: Opened, baked: Baked): Promise<Opened> {
  const bytes = new Map<string, Uint8Array>();
  for (const { name, byteLength, read } of baked.tensors.values()) {
    const whole = new Uint8Array(byteLength);
    let at = 0;
    for await (const chunk of read()) {
      whole.set(chunk, at);
      at += chunk.length;
    }
    assert.is(at, byteLength, name);
    bytes.set(name, whole);
  }
  return {
    json,
    config: readConfig({ ...json, ...baked.config }, "config.json"),
    checkpoint: inMemory(baked.tensors, bytes),
  };
}

async function logits({ config, checkpoint }: Opened, composition: Composition, run: { tokens: readonly number[] }) {
  // What an engine would refuse to load, the graph refuses.
  buildGraph(config, checkpoint);
  const weights = arrange(await readTensors(checkpoint), config);
  return Float32Array.from(referenceForward(weights, config, composition, run).logits);
}

async function bakeAndCompare(model: Opened, composition: Composition, run: { tokens: number[] }, what: string) {
  const { config, checkpoint } = model;
  const baked = bake(buildGraph(config, checkpoint), checkpoint, composition);
  const reopened = await reopen(model, baked);
  const rest = remainderOf(config, composition, baked.kept, "rest");
  const live =
    baked.kept.length === 0 ? noStages : compose(reopened.config, [{ bundle: readBundle(writeBundle(rest), "rest") }]);
  const expected = await logits(model, composition, run);
  assertClose(await logits(reopened, live, run), expected, what, 2e-5);
  return baked;
}

function suitsBundle(positions: Positions, vocabSize: number): boolean {
  const refuse: RefuseField = (field, problem) => new SluiceError("usage", `${field} ${problem}`);
  try {
    checkPositions(positions, refuse, vocabSize);
    return true;
  } catch (error) {
    if (error instanceof SluiceError) return false;
    throw error;
  }
}

for (let seed = 0; seed < 12; seed++) {
  test(`random compositions on the random model ${seed}, baked as far as they can be`, async () => {
    const random = await openRandomModel(seed);
    const model = await open(random.files);
    const cases = fc.tuple(randomCompositions(model.config), randomRuns(model.config), fc.infiniteStream(fc.boolean()));
    for (const [drawn, run, stream] of fc.sample(cases, { numRuns: 12, seed })) {
      const stages = drawn.stages.map((stage) => {
        if (stage.kind === "edge_mask") return stage;
        // What is not baked becomes a bundle, which takes no positions that are nowhere or name unknown tokens.
        if (stream.next().value && suitsBundle(stage.positions, model.config.vocab_size)) return stage;
        return { ...stage, positions: "all" as const };
      });
      const what = `${random.summary}\n${JSON.stringify(stages.map(({ id, kind, strength }) => [id, kind, strength]))}`;
      await bakeAndCompare(model, { ...drawn, stages }, run, what);
    }
  });
}

const run = { tokens: [3, 1, 4, 1, 5, 9, 2, 6] };

/** A composition of stages, each with the tensors of its kind in all of its layers. */
function stagesOf(config: ModelConfig, ...stages: readonly Readonly<Record<string, unknown>>[]): Composition {
  const tensors: Record<string, StoredTensor> = {};
  for (const { id, kind, method, layers } of stages) {
    for (const layer of (layers as readonly number[] | undefined) ?? []) {
      const row = Float32Array.from({ length: config.hidden_size }, (_, i) => Math.sin(i + layer) / 4);
      const names = kind === "neuron_scale" ? ["shift"] : method === "ace" ? ["direction", "reference"] : ["direction"];
      for (const name of names) tensors[`${id}.${layer}.${name}`] = storeFloat32(row, [row.length]);
    }
  }
  return compose(config, [{ bundle: bundleOf(config, stages, tensors) }]);
}

const affine = (id: string, method: string, site: string, layers: readonly number[], more: object = {}) => ({
  id,
  kind: "affine",
  method,
  site,
  layers,
  ...more,
});
const shift = (id: string, site: string, layers: readonly number[], more: object = {}) => ({
  id,
  kind: "neuron_scale",
  site,
  layers,
  ...more,
});

test("additions to the stream become biases, those before the first block positions", async () => {
  const model = await open(location("test/golden/gpt2-tiny"));
  const stages = stagesOf(
    model.config,
    affine("a", "addition", "resid_pre", [0, 2]),
    affine("b", "addition", "resid_mid", [1]),
  );
  const { kept, config, tensors } = await bakeAndCompare(model, stages, run, "additions");
  assert.equal(kept, []);
  assert.equal(config, {});
  assert.equal(changed(tensors), [
    "transformer.h.1.attn.c_proj.bias",
    "transformer.h.1.mlp.c_proj.bias",
    "transformer.wpe.weight",
  ]);
});

function changed(tensors: Baked["tensors"]): string[] {
  return [...tensors.values()]
    .filter((tensor) => tensor.changed)
    .map(({ name }) => name)
    .sort();
}

test("a Llama without biases gets them, by the switches of its config.json", async () => {
  const model = await open(location("test/golden/llama-tiny"));
  const stages = stagesOf(model.config, affine("a", "addition", "resid_post", [0]));
  const { kept, config, tensors } = await bakeAndCompare(model, stages, run, "biases");
  assert.equal(kept, []);
  assert.equal(config, { mlp_bias: true });
  assert.is(changed(tensors).length, 3 * model.config.num_hidden_layers);
});

test("a projection of tied embeddings unties the head", async () => {
  const model = await open(location("test/golden/gpt2-tiny"));
  const stages = stagesOf(model.config, affine("a", "directional_ablation", "resid_pre", [0]));
  const { kept, config, tensors } = await bakeAndCompare(model, stages, run, "untied");
  assert.equal(kept, []);
  assert.equal(config, { tie_word_embeddings: false });
  assert.equal(changed(tensors), ["transformer.wpe.weight", "transformer.wte.weight"]);
  assert.is(tensors.get("lm_head.weight")?.changed, false);
});

test("what no weight can take is kept, with the reason", async () => {
  const model = await open(location("test/golden/gpt2-tiny"));
  const llama = await open(location("test/golden/llama-tiny"));
  const mask = { id: "e", kind: "edge_mask", destinations: "heads", edges: [["blocks.1.mlp", "logits", 0]] };
  const cases: readonly (readonly [
    Opened,
    readonly Readonly<Record<string, unknown>>[],
    Readonly<Record<string, RegExp>>,
  ])[] = [
    [model, [affine("a", "ace", "resid_post", [0])], { a: /sum of all/ }],
    [model, [affine("a", "ace", "mlp_out", [0], { gate: "relu" })], { a: /gate/ }],
    [model, [shift("n", "mlp_out", [0], { positions: { from: 1 } })], { n: /some positions/ }],
    [model, [shift("n", "mlp_out", [0], { positions: { from: 0 } })], {}],
    [model, [affine("a", "ace", "resid_post", [0], { strength: 0 })], {}],
    [llama, [shift("n", "mlp_norm", [0])], { n: /RMS norm/ }],
    [model, [mask], { e: /edge mask/ }],
    [model, [mask, affine("a", "addition", "resid_post", [0, 1])], { e: /edge mask/, a: /blocks\.1\.mlp/ }],
    // What stays keeps those behind it, unless both only add.
    [
      model,
      [
        affine("g", "ace", "mlp_out", [0], { gate: "relu" }),
        shift("n", "mlp_out", [0]),
        affine("a", "ace", "mlp_out", [0]),
      ],
      { g: /gate/, n: /after stage "g"/, a: /after stage "g"/ },
    ],
    [model, [shift("p", "mlp_out", [0], { positions: "prompt" }), shift("n", "mlp_out", [0])], { p: /positions/ }],
    // At an input it is what stands before that stays.
    [model, [shift("n", "attn_z", [0]), shift("p", "attn_z", [0], { positions: "prompt" })], { p: /positions/ }],
  ];
  for (const [of, stages, reasons] of cases) {
    const what = JSON.stringify(stages);
    const { kept } = await bakeAndCompare(of, stagesOf(of.config, ...stages), run, what);
    assert.equal([...new Set(kept.map(({ id }) => id))].sort(), Object.keys(reasons).sort(), what);
    for (const { id, reason } of kept) assert.match(reason, reasons[id] ?? /^$/);
  }
});

test("what is kept of a prefixed stage gets an id that no other stage has", async () => {
  const { config, checkpoint } = await open(location("test/golden/gpt2-tiny"));
  const gated = (id: string) => {
    const stage = affine(id, "ace", "mlp_out", [0], { gate: "relu" });
    const row = storeFloat32(new Float32Array(config.hidden_size).fill(1), [config.hidden_size]);
    return bundleOf(config, [stage], { [`${id}.0.direction`]: row, [`${id}.0.reference`]: row });
  };
  const composition = compose(config, [
    { bundle: gated("b"), prefix: "a" },
    { bundle: gated("b-2"), prefix: "a" },
    { bundle: gated("a-b") },
  ]);
  const { kept } = bake(buildGraph(config, checkpoint), checkpoint, composition);
  const rest = readBundle(writeBundle(remainderOf(config, composition, kept, "rest")), "rest");
  const ids = rest.manifest.stages.map(({ id }) => id);
  assert.equal(ids, ["a-b-2", "a-b-2-2", "a-b"]);
  assert.equal([...rest.tensors.keys()].sort(), ids.flatMap((id) => [`${id}.0.direction`, `${id}.0.reference`]).sort());
});

test("changed tensors are float32 unless their own dtype is asked for", async () => {
  const model = await open(location("test/golden/llama3-tiny"));
  const stages = stagesOf(model.config, affine("a", "ace", "mlp_out", [1]));
  const graph = buildGraph(model.config, model.checkpoint);
  const dtypes = (dtype: "f32" | "stored") => {
    const { tensors } = bake(graph, model.checkpoint, stages, { dtype });
    return [...new Set(changed(tensors).map((name) => tensors.get(name)?.dtype))];
  };
  assert.equal(dtypes("f32"), ["F32"]);
  assert.equal(dtypes("stored"), ["BF16"]);
  await bakeAndCompare(model, stages, run, "bfloat16");
  const stored = bake(graph, model.checkpoint, stages, { dtype: "stored" });
  const expected = await logits(model, stages, run);
  // A bfloat16 has 8 bits.
  assertClose(await logits(await reopen(model, stored), noStages, run), expected, "stored", 0.05);
});

test.run();
