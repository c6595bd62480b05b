/** MLX's tensors: what fits together, what does not, and reading them in the order of a file. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Checkpoint } from "../../src/formats/checkpoint.ts";
import { HeldTensors, inFileOrder, needOf } from "../../src/formats/file-order.ts";
import { type MlxQuantization, mlxCheckpoint } from "../../src/formats/mlx.ts";
import { packReadyMade } from "../../src/formats/ready-strips.ts";
import type { StoredTensor } from "../../src/formats/safetensors.ts";
import { drawnModel } from "../support/mlx-files.ts";
import { refusal } from "./refusal.ts";

const { tensors } = drawnModel({
  config: {
    model_type: "llama",
    hidden_size: 64,
    intermediate_size: 96,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    num_key_value_heads: 1,
    head_dim: 32,
    vocab_size: 13,
    tie_word_embeddings: true,
  },
  usual: { bits: 4, group: 32 },
  scales: "F16",
  seed: 5,
});

const usual: MlxQuantization = { usual: { bits: 4, group: 32 }, modules: new Map() };
const UP = "model.layers.0.mlp.up_proj";

/** The drawn tensors, in the order of their names, with some replaced or, if undefined, left out. */
function stored(
  changes: Readonly<Record<string, Partial<StoredTensor> | undefined>> = {},
  onRead?: (name: string) => void,
) {
  const kept = [...tensors]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([name, tensor]): [string, StoredTensor][] => {
      if (!(name in changes)) return [[name, tensor]];
      const change = changes[name];
      return change ? [[name, { ...tensor, ...change }]] : [];
    });
  const checkpoint: Checkpoint = {
    tensors: new Map(
      kept.map(([name, { dtype, shape, bytes }]) => [name, { name, dtype, shape, byteLength: bytes.length }]),
    ),
    read: async (name, begin, end) => {
      onRead?.(name);
      return new Uint8Array((tensors.get(name) as StoredTensor).bytes).slice(begin, end);
    },
    readAhead: (names) => ahead.push(...names),
    close: async () => undefined,
  };
  return checkpoint;
}

const ahead: string[] = [];

test("what has scales is quantised, whatever else there is", () => {
  const { quantized } = mlxCheckpoint(stored(), usual);
  assert.is(quantized?.size, 8);
  const up = quantized?.get(`${UP}.weight`);
  assert.equal([up?.outputs, up?.inputs, up?.coding], [96, 64, { bits: 4, signed: false, group: 32, scales: "F16" }]);
  assert.not.ok(quantized?.has("model.norm.weight"));
});

test("tensors that do not fit each other, or the description, are refused by name", async () => {
  const refused = (changes: Parameters<typeof stored>[0], ...parts: string[]) =>
    refusal("bad_weights", () => mlxCheckpoint(stored(changes), usual), UP, ...parts);
  await refused({ [`${UP}.biases`]: undefined }, `no ${UP}.biases`);
  await refused({ [`${UP}.weight`]: undefined }, `no ${UP}.weight`);
  await refused({ [`${UP}.weight`]: { dtype: "I32" } }, "I32 [96,8]", "4 bits in groups of 32");
  await refused({ [`${UP}.scales`]: { shape: [96, 1] } }, "F16 [96,1]");
  await refused({ [`${UP}.biases`]: { shape: [95, 2] } }, "F16 [95,2]");
  await refused({ [`${UP}.scales`]: { dtype: "U8" } }, "U8");
  await refused({ [`${UP}.weight`]: { shape: [768] } }, "U32 [768]");
  for (const coding of [{ bits: 8, group: 32 }, { bits: 4, group: 64 }, null] as const) {
    const modules = new Map([[UP, coding]]);
    await refusal("bad_weights", () => mlxCheckpoint(stored(), { ...usual, modules }), UP);
  }
});

test("a distant source hears of scales and biases too, and a server that goes forward alone is read once", async () => {
  const reads: string[] = [];
  const checkpoint = mlxCheckpoint(
    stored({}, (name) => reads.push(name)),
    usual,
  );
  ahead.length = 0;
  checkpoint.readAhead?.(new Set([`${UP}.weight`, "model.norm.weight"]), undefined);
  assert.equal(ahead, [`${UP}.weight`, `${UP}.scales`, `${UP}.biases`, "model.norm.weight"]);

  const held = new HeldTensors(checkpoint);
  const sources = [`${UP}.weight`, "model.embed_tokens.weight", "model.layers.0.mlp.down_proj.weight"].map((tensor) => {
    const { outputs = 0, inputs = 0 } = checkpoint.quantized?.get(tensor) ?? {};
    const rows = [{ tensor, transposed: false, tensorOutputs: outputs, first: 0, count: outputs }];
    return { label: tensor, k: inputs, rows };
  });
  const things = sources.map((source) => ({ source, need: needOf(source, checkpoint) }));
  for await (const { source } of inFileOrder(held, things, undefined)) {
    const strips = Math.ceil((source.rows[0]?.count ?? 0) / 4);
    for await (const _ of packReadyMade(held, source, "a4_f16", { firstStrip: 0, strips }));
  }
  assert.is(new Set(reads).size, 9);
  assert.equal(reads, [...reads].sort(), "in the order of the file, each once");
});

test.run();
