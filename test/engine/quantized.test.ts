/** Quantised models: the bits of the float weights that they represent, from load and from folder, edited and not. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors } from "../../src/formats/safetensors.ts";
import { type Model, type QuantFormat, readBundle } from "../../src/index.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { modelFiles, quantizedFolder, widenedFiles } from "../support/model-files.ts";
import { codeOf } from "../support/refusal-code.ts";
import { myTurns, sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

interface GoldenCase {
  readonly case: string;
  readonly tokens: readonly number[];
  readonly prompt_len: number;
  readonly bundle: string | null;
  readonly strengths?: Readonly<Record<string, number>>;
}

const FORMATS: readonly QuantFormat[] = ["q8", "q4"];

async function using<T>(loading: Promise<Model>, use: (model: Model) => Promise<T>): Promise<T> {
  const model = await loading;
  try {
    return await use(model);
  } finally {
    model.dispose();
  }
}

// Few of the combinations: each plan is compiled anew.
for (const [name, format, bundled] of myTurns([
  ["gpt2-tiny", "q4", "everything"],
  ["llama-tiny", "q8", null],
  ["llama3-tiny", "q8", "edges-dense-qkv_groups"],
] as const)) {
  const folder = `test/golden/${name}`;

  test(`${name} in ${format}: from load or from its folder, the bits of the weights it represents`, async () => {
    const cases = await readJson<GoldenCase[]>(`${folder}/cases.json`);
    const golden = cases.find((entry) => entry.case === (bundled ?? "base"));
    assert.ok(golden);
    const { tokens, prompt_len: promptLength, strengths = {} } = golden;
    const bundle = golden.bundle ? readBundle(await readBytes(`${folder}/${golden.bundle}`), golden.bundle) : null;
    const settings = { strengths: new Map(Object.entries(strengths)) };
    const outcomes = (loading: Promise<Model>) =>
      using(loading, async (model) => [
        await model.logits(tokens),
        bundle && (await model.with([{ bundle }], settings).logits(tokens, { promptLength })),
      ]);

    const atLoad = await outcomes(load(location(folder), { quantize: format }));
    const quantized = await quantizedFolder(location(folder), format);
    const [fromFolder, plain] = [
      await using(load(modelFiles(quantized)), (model) => model.logits(tokens)),
      await using(load(location(folder)), (model) => model.logits(tokens)),
    ];
    assert.equal(fromFolder, atLoad[0]);
    assert.not.equal(plain, atLoad[0]);
    const widened = widenedFiles(quantized, (tensor) => matrixOf(tensor, quantized.config));
    assert.equal(await outcomes(load(widened)), atLoad);
  });
}

/** Of the golden models' matrices. */
function matrixOf(name: string, config: Record<string, unknown>): { inputs: number; transposed: boolean } {
  const number = (field: string): number => config[field] as number;
  if (config.model_type === "gpt2") {
    return {
      inputs: number("n_embd") * (name.includes("mlp.c_proj") ? 4 : 1),
      transposed: name.includes(".c_"),
    };
  }
  const heads =
    number("num_attention_heads") *
    ((config.head_dim as number | undefined) ?? number("hidden_size") / number("num_attention_heads"));
  const inputs = name.includes("o_proj")
    ? heads
    : number(name.includes("down_proj") ? "intermediate_size" : "hidden_size");
  return { inputs, transposed: false };
}

test("a folder keeps other tensors, reports how far the weights moved, and names its format", async () => {
  const folder = "weights/gpt-nano-sort";
  const before = parseSafetensors(await readBytes(`${folder}/model.safetensors`)).tensors;
  for (const format of FORMATS) {
    const { quantized, tensors: after, config } = await quantizedFolder(location(folder), format);
    assert.equal([...after.keys()].sort(), [...before.keys()].sort());
    // The token embedding, the head, and four in each layer.
    assert.is(quantized.errors.size, 2 + 4 * 3);
    for (const [name, tensor] of before) {
      if (!quantized.errors.has(name)) assert.equal(after.get(name), tensor);
    }
    assert.not.ok([...quantized.errors.keys()].some((name) => name.includes("wpe")));
    for (const [name, { rms, max }] of quantized.errors) {
      assert.ok(rms > 0 && rms < (format === "q8" ? 0.01 : 0.1), `${name}: ${rms}`);
      assert.ok(max > 0 && max < (format === "q8" ? 0.004 : 0.25), `${name}: ${max}`);
    }
    assert.equal(config.sluice_quantization, { format, block: 32 });
  }
});

inTurn("on the GPU a real model takes 0.30 of float32's memory in q8, 0.17 in q4", async () => {
  const folder = "weights/gpt2-stories";
  let float32 = 0;
  for (const { shape } of parseSafetensors(await readBytes(`${folder}/model.safetensors`)).tensors.values()) {
    float32 += shape.reduce((a, b) => a * b, 4);
  }
  for (const [quantize, most] of [
    ["q8", 0.3],
    ["q4", 0.17],
  ] as const) {
    const ratio = await using(load(location(folder), { quantize }), async (model) => model.gpuBytes / float32);
    assert.ok(ratio < most, `${quantize}: ${ratio}`);
  }
});

inTurn("a notice reports how far quantising at load moved the weights", async () => {
  const notices: string[] = [];
  const model = await load(location("weights/gpt-nano-sort"), {
    quantize: "q4",
    onNotice: (text) => notices.push(text),
  });
  assert.is(model.config.quantization, "q4");
  model.dispose();
  assert.ok(
    notices.some((text) => /^Weights quantised to q4: relative error \d\.\d\d % RMS/.test(text)),
    notices.join(),
  );
});

test("what cannot be quantised, and folders that lie about it, are refused", async () => {
  const source = location("weights/gpt-nano-sort");
  const { tensors, config } = await quantizedFolder(source, "q4");
  const marked = (field: unknown): File[] => modelFiles({ tensors, config: { ...config, sluice_quantization: field } });
  const code = (attempt: Promise<unknown>) => codeOf(() => attempt);
  assert.is(await code(load(modelFiles({ tensors, config }), { quantize: "q8" })), "usage");
  assert.is(await code(load(source, { quantize: "q5" as QuantFormat })), "usage");
  assert.is(await code(load(marked({ format: "q5", block: 32 }))), "bad_config");
  assert.is(await code(load(marked({ format: "q4", block: 64 }))), "bad_config");
  assert.is(await code(load(marked({ format: "q8", block: 32 }))), "bad_weights");
  assert.is(await code(load(marked(null))), "bad_weights");
});

test.run();
