/** GGUF files as the folders that they stand for: their config.json, their weights, their parts, and what is refused. */
import * as fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openModel } from "../../src/architectures/open-model.ts";
import { readConfig } from "../../src/architectures/read-config.ts";
import { inverseFrequencies } from "../../src/architectures/rope.ts";
import { SluiceError } from "../../src/errors.ts";
import { dequantize, dequantized } from "../../src/formats/dequantized.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { readJson as readJsonFile } from "../../src/formats/source.ts";
import { bakeModel } from "../../src/model/bake-model.ts";
import { loadTokenizer } from "../../src/tokenizer/load.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { type Field, type WrittenTensor, writeGguf } from "../support/gguf-writer.ts";
import { refusal } from "./refusal.ts";

const { models } = await readJson<{
  readonly models: Readonly<Record<string, { readonly config: Readonly<Record<string, unknown>> }>>;
}>("test/data/gguf/models.json");

/** As `general.file_type` says, or of most bytes. */
const TYPES: Readonly<Record<string, string>> = {
  llama: "Q4_K_M",
  qwen2: "Q8_0",
  "gpt2-00001-of-00002": "Q5_0",
  "stories260K-Q8_0": "Q8_0",
};

for (const [name, { config }] of Object.entries(models)) {
  test(`${name}: the configuration of the folder that it was made from`, async () => {
    const files = await openSource(location(`test/data/gguf/${name}.gguf`));
    try {
      const notices: string[] = [];
      const { config: found } = await openModel(files, (text) => notices.push(text));
      assert.equal(found, {
        ...readConfig(config, "config.json"),
        quantization: "gguf",
        quantized_as: `GGUF ${TYPES[name]}`,
      });
      assert.equal(notices, []);
      assert.is(files.label, location(`test/data/gguf/${name}.gguf`));
    } finally {
      await files.close();
    }
  });
}

test("the weights of stories260K, to a step of 8 bits, under the folder's names and in its order", async () => {
  const [folder, gguf] = await Promise.all(
    ["weights/stories260K", "test/data/gguf/stories260K-Q8_0.gguf"].map(async (path) =>
      openModel(await openSource(location(path)), () => undefined),
    ),
  );
  assert.ok(folder && gguf);
  const floats = dequantized(gguf.checkpoint);
  assert.equal([...floats.tensors.keys()].sort(), [...folder.checkpoint.tensors.keys()].sort());
  for (const [name, { shape, byteLength }] of folder.checkpoint.tensors) {
    assert.equal(floats.tensors.get(name)?.shape, shape, name);
    const size = floats.tensors.get(name)?.dtype === "F32" ? 4 : 2;
    if (size === 2) continue;
    const read = async ({ checkpoint }: { checkpoint: typeof floats }): Promise<Float32Array> =>
      new Float32Array((await checkpoint.read(name, 0, byteLength)).buffer);
    const [exact, near] = await Promise.all([read(folder), read({ checkpoint: floats })]);
    for (let i = 0; i < exact.length; i += 32) {
      const block = exact.subarray(i, i + 32);
      const step = block.reduce((a, b) => Math.max(a, Math.abs(b)), 0) / 127;
      block.forEach((value, j) => {
        assert.ok(Math.abs(value - (near[i + j] as number)) <= step * 0.6, `${name} at ${i + j}`);
      });
    }
  }
  await Promise.all([folder.checkpoint.close(), gguf.checkpoint.close()]);
});

const F32 = 0;
const floats = (shape: readonly number[], values?: readonly number[]): WrittenTensor => {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1)).map((_, i) => values?.[i] ?? ((i * 37) % 101) / 101);
  return { type: F32, shape, bytes: new Uint8Array(data.buffer) };
};

const FIELDS: Readonly<Record<string, Field>> = {
  "general.architecture": "llama",
  "llama.embedding_length": 8,
  "llama.attention.head_count": 2,
  "llama.attention.head_count_kv": 1,
  "llama.block_count": 1,
  "llama.feed_forward_length": 16,
  "llama.context_length": 32,
  "llama.attention.layer_norm_rms_epsilon": 1e-5,
};

const TENSORS: Readonly<Record<string, WrittenTensor>> = {
  "token_embd.weight": floats([10, 8]),
  "output_norm.weight": floats([8]),
  "blk.0.attn_norm.weight": floats([8]),
  "blk.0.attn_q.weight": floats([8, 8]),
  "blk.0.attn_k.weight": floats([4, 8]),
  "blk.0.attn_v.weight": floats([4, 8]),
  "blk.0.attn_output.weight": floats([8, 8]),
  "blk.0.ffn_norm.weight": floats([8]),
  "blk.0.ffn_gate.weight": floats([16, 8]),
  "blk.0.ffn_up.weight": floats([16, 8]),
  "blk.0.ffn_down.weight": floats([8, 16]),
};

const file = (name: string, bytes: Uint8Array<ArrayBuffer>): File => new File([bytes], name);

/** The model in a file of these fields and tensors. */
async function open(
  fields: Readonly<Record<string, Field>> = {},
  tensors: Readonly<Record<string, WrittenTensor>> = {},
) {
  const made = writeGguf({ ...FIELDS, ...fields }, { ...TENSORS, ...tensors });
  const files = await openSource([file("model.gguf", made)]);
  try {
    return await openModel(files, () => undefined);
  } finally {
    await files.close();
  }
}

test("what the file does not say has llama.cpp's defaults; what it says as float32 is read as it was meant", async () => {
  const { config } = await open();
  assert.is(config.norm_eps, 1e-5);
  assert.equal([config.rope?.rope_theta, config.head_dim, config.vocab_size], [10000, 4, 10]);
  assert.is(config.tie_word_embeddings, true);
  assert.is(config.quantization, undefined);
  assert.equal(config.eos_token_ids, [2]);
  const untied = await open({ "llama.rope.freq_base": 1234.5 }, { "output.weight": floats([10, 8]) });
  assert.is(untied.config.tie_word_embeddings, false);
  assert.is(untied.config.rope?.rope_theta, 1234.5);
  assert.is((await open({ "llama.attention.sliding_window": 5 })).config.sliding_window, 5);
  const biased = {
    "blk.0.attn_q.bias": floats([8]),
    "blk.0.attn_k.bias": floats([4]),
    "blk.0.attn_v.bias": floats([4]),
  };
  assert.is((await open({}, { ...biased, "blk.0.attn_output.bias": floats([8]) })).config.qkv_bias, true);
});

test("rotary scaling: linear, YaRN, and divisors of each frequency", async () => {
  const scaling = async (fields: Readonly<Record<string, Field>>, tensors = {}) =>
    (await open(fields, tensors)).config.rope;
  assert.equal((await scaling({ "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 2 }))?.scaling, {
    rope_type: "linear",
    factor: 2,
  });
  const yarn = { "llama.rope.scaling.type": "yarn", "llama.rope.scaling.factor": 4 };
  const found = (await scaling({ ...yarn, "llama.rope.scaling.original_context_length": 8 }))?.scaling;
  assert.ok(found?.rope_type === "yarn" && found.original_max_position_embeddings === 8);
  assert.ok(Math.abs(found.attention_factor - (0.1 * Math.log(4) + 1)) < 1e-12);
  const rope = await scaling({}, { "rope_freqs.weight": floats([2], [1, 8]) });
  assert.ok(rope);
  assert.equal([...inverseFrequencies(rope, 4, 32)], [1, 0.01 / 8]);
});

test("biases and rows of queries and keys are put into the folder's order", async () => {
  const rows = Array.from({ length: 8 }, (_, i) => i);
  const made = writeGguf(FIELDS, { ...TENSORS, "blk.0.attn_q.bias": floats([8], rows) });
  const files = await openSource([file("model.gguf", made)]);
  const checkpoint = await (files.weights as NonNullable<typeof files.weights>).open();
  const bytes = await checkpoint.read("model.layers.0.self_attn.q_proj.bias", 0, 32);
  assert.equal([...new Float32Array(bytes.buffer)], [0, 2, 1, 3, 4, 6, 5, 7]);
  const middle = await checkpoint.read("model.layers.0.self_attn.q_proj.bias", 4, 24);
  assert.equal([...new Float32Array(middle.buffer)], [2, 1, 3, 4, 6]);
});

test("other architectures, types and tensors are refused by name, with what to do", async () => {
  await refusal("bad_config", () => open({ "general.architecture": "gemma3" }), "general.architecture", '"gemma3"');
  await refusal("bad_config", () => open({ "general.architecture": "controlvector" }), "control vector");
  await refusal("bad_config", () => open({ "general.type": "adapter" }), "general.type");
  await refusal("bad_config", () => open({ "llama.expert_count": 8 }), "llama.expert_count", "mixtures of experts");
  for (const [type, name, block, bytes] of [
    [23, "IQ4_XS", 256, 136],
    [10, "Q2_K", 256, 84],
    [11, "Q3_K", 256, 110],
    [34, "TQ1_0", 256, 54],
    [39, "MXFP4", 32, 17],
  ] as const) {
    const tensor = { type, shape: [1, block], bytes: new Uint8Array(bytes) };
    await refusal("bad_weights", () => open({}, { "blk.0.ffn_gate.weight": tensor }), "blk.0.ffn_gate.weight", name);
  }
  await refusal(
    "bad_weights",
    () => open({}, { "blk.0.attn_sub_norm.weight": floats([8]) }),
    "blk.0.attn_sub_norm.weight",
  );
  await refusal("bad_config", () => open({ "llama.rope.scaling.type": "klingon" }), '"klingon"');
});

test("fields that are missing, of another type or without sense are named", async () => {
  for (const key of Object.keys(FIELDS).filter((each) => !/architecture|head_count_kv/.test(each))) {
    const { [key]: _, ...fields } = FIELDS;
    const made = [file("model.gguf", writeGguf(fields, TENSORS))];
    await refusal("bad_config", async () => openModel(await openSource(made), () => undefined), key, "is missing");
  }
  await refusal("bad_config", () => open({ "llama.embedding_length": "8" }), "llama.embedding_length", '"8"');
  await refusal("bad_config", () => open({ "llama.attention.head_count": 0 }), "num_attention_heads");
  await refusal("bad_config", () => open({ "llama.attention.head_count_kv": Int32Array.of(1, 2) }), "differ");
  await refusal("bad_config", () => open({ "llama.attention.value_length": 8 }), "llama.attention.value_length");
  await refusal("bad_config", () => open({ "llama.rope.dimension_count": 2 }), "llama.rope.dimension_count");
  await refusal("bad_config", () => open({}, { "rope_freqs.weight": floats([5]) }), "rope_scaling");
  await refusal("bad_weights", () => open({ "llama.block_count": 2 }), "model.layers.1");
  await refusal("bad_weights", () => open({}, { "blk.0.attn_q.weight": floats([4, 8]) }), "q_proj.weight");
  await refusal("bad_weights", () => open({}, { "blk.0.attn_q.bias": floats([8]) }), "k_proj.bias");
});

/** A model in parts, each with these tensors. */
function parts(...shares: readonly (readonly string[])[]): File[] {
  const count = Object.keys(TENSORS).length;
  return shares.map((names, number) => {
    const own = Object.fromEntries(names.map((name) => [name, TENSORS[name] as WrittenTensor]));
    const split = { "split.no": number, "split.count": shares.length, "split.tensors.count": count };
    const name = `m-0000${number + 1}-of-0000${shares.length}.gguf`;
    return file(name, writeGguf(number === 0 ? { ...FIELDS, ...split } : split, own));
  });
}

const openFiles = async (files: readonly File[]) => openModel(await openSource(files), () => undefined);

test("a model in parts is one, whichever part is named; a part that is missing or another one's is reported", async () => {
  const names = Object.keys(TENSORS);
  const whole = parts(names.slice(0, 4), names.slice(4, 5), names.slice(5));
  const { checkpoint } = await openFiles(whole);
  assert.is(checkpoint.tensors.size, names.length);
  const bytes = await checkpoint.read("model.layers.0.mlp.down_proj.weight", 0, 512);
  assert.equal(new Uint8Array(bytes), TENSORS["blk.0.ffn_down.weight"]?.bytes);
  await refusal("not_found", () => openFiles(whole.slice(0, 2)), "m-00003-of-00003.gguf");
  await refusal("not_found", () => openFiles(whole.slice(1)), "m-00001-of-00003.gguf");
  const [first, second] = whole as [File, File];
  const renamed = new File([second], "m-00003-of-00003.gguf");
  await refusal("bad_file", () => openFiles([first, second, renamed]), "not part 3 of 3");
  await refusal("bad_file", () => openFiles(parts(names.slice(0, 4), names.slice(5))), "11 tensors", "hold 10");
  await refusal("bad_file", () => openFiles(parts(names.slice(0, 4), names.slice(3))), "another part has too");
  await refusal("bad_file", () => openFiles([new File([first], "alone.gguf")]), "one of 3 parts");
});

test("a folder with one GGUF file is that model; with several, they are listed; safetensors go first", async () => {
  const gguf = await readBytes("test/data/gguf/qwen2.gguf");
  const model = file("a.gguf", gguf);
  const { config } = await openFiles([model, file("README.md", gguf), file("mmproj-a.gguf", gguf)]);
  assert.is(config.model_type, "qwen2");
  await refusal("not_found", () => openFiles([model, file("b.gguf", gguf)]), "several models", "a.gguf", "b.gguf");
  const source = await openSource([model, file("model.safetensors", gguf)]);
  assert.is(source.weights, undefined);
  const described = [model, new File(["{}"], "config.json")];
  assert.is((await openFiles(described)).config.model_type, "qwen2");
});

test("whatever byte of a header is changed, the model is read or refused", async () => {
  const sound = await readBytes("test/data/gguf/stories260K-Q8_0.gguf");
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 24, max: 14_000 }), fc.nat(255), async (at, value) => {
      const changed = sound.slice();
      changed[at] = value;
      const source = await openSource([file("model.gguf", changed)]);
      try {
        const { config } = await openModel(source, () => undefined);
        (await loadTokenizer(source, config))?.encode("Once upon a time");
      } catch (error) {
        if (!(error instanceof SluiceError)) throw error;
      } finally {
        await source.close();
      }
    }),
    { numRuns: 150 },
  );
});

test("a baked GPT-2 is a folder of float32, its linear weights inputs first", async () => {
  const source = location("test/data/gguf/gpt2-00001-of-00002.gguf");
  const baked = await bakeModel(source, []);
  const folder: File[] = [];
  for (const { name, read } of baked.files) {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for await (const piece of read()) pieces.push(new Uint8Array(piece));
    folder.push(new File(pieces, name));
  }
  await baked.close();
  const { config, checkpoint } = await openFiles(folder);
  assert.equal([config.quantization, config.quantized_as], [undefined, undefined]);
  assert.equal(checkpoint.tensors.get("transformer.h.0.mlp.c_fc.weight")?.shape, [96, 384]);
  const files = await openSource(source);
  const stored = await (files.weights as NonNullable<typeof files.weights>).open();
  const matrix = stored.quantized?.get("transformer.h.0.mlp.c_fc.weight");
  assert.ok(matrix);
  const row = dequantize(await matrix.readRows(stored, 5, 6, undefined), matrix);
  const all = new Float32Array((await checkpoint.read("transformer.h.0.mlp.c_fc.weight", 0, 96 * 384 * 4)).buffer);
  assert.equal(
    row,
    row.map((_, k) => all[k * 384 + 5] as number),
  );
  await stored.close();
});

test("made files can be read as bytes, like any others", async () => {
  const files = await openSource(location("test/data/gguf/gpt2-00002-of-00002.gguf"));
  for (const path of ["config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"]) {
    assert.ok(await files.exists(path), path);
    const bytes = await files.readAll(path);
    assert.is(bytes.length, await files.size(path));
    const value = JSON.stringify(await readJsonFile(files, path));
    assert.equal(JSON.parse(new TextDecoder().decode(bytes)), JSON.parse(value));
    assert.equal(await files.read(path, 1, 5), bytes.slice(1, 5));
  }
  assert.is(await files.exists("vocab.json"), false);
  await refusal("not_found", () => files.readAll("vocab.json"), "vocab.json");
  assert.equal(await files.weights?.files(), ["gpt2-00001-of-00002.gguf", "gpt2-00002-of-00002.gguf"]);
  await files.close();
});

test.run();
