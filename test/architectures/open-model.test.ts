/** From files to a graph: which tensors are used, which may be missing, and what config.json may claim. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openModel } from "../../src/architectures/open-model.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { type StoredTensor, storeFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { refusal } from "../formats/refusal.ts";

type Tensors = ReadonlyMap<string, StoredTensor>;

const config = {
  model_type: "llama",
  hidden_size: 8,
  intermediate_size: 12,
  num_attention_heads: 2,
  num_hidden_layers: 1,
  vocab_size: 11,
  max_position_embeddings: 32,
  tie_word_embeddings: true,
};

const tensor = (shape: readonly number[], value: number) =>
  storeFloat32(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value), shape);

function llama(prefix = "model."): Map<string, StoredTensor> {
  const block = `${prefix}layers.0`;
  return new Map([
    [`${prefix}embed_tokens.weight`, tensor([11, 8], 1)],
    [`${prefix}norm.weight`, tensor([8], 1)],
    [`${block}.input_layernorm.weight`, tensor([8], 1)],
    [`${block}.post_attention_layernorm.weight`, tensor([8], 1)],
    ...["q", "k", "v", "o"].map((name) => [`${block}.self_attn.${name}_proj.weight`, tensor([8, 8], 1)] as const),
    [`${block}.mlp.gate_proj.weight`, tensor([12, 8], 1)],
    [`${block}.mlp.up_proj.weight`, tensor([12, 8], 1)],
    [`${block}.mlp.down_proj.weight`, tensor([8, 12], 1)],
  ]);
}

async function open(tensors: Tensors, fields: object = {}, files: Readonly<Record<string, string>> = {}) {
  const notices: string[] = [];
  const source = await openSource([
    new File([JSON.stringify({ ...config, ...fields })], "config.json"),
    new File([writeSafetensors(tensors)], "model.safetensors"),
    ...Object.entries(files).map(([name, content]) => new File([content], name)),
  ]);
  const opened = await openModel(source, (line) => notices.push(line));
  return { ...opened, notices, used: opened.graph.nodes.flatMap((n) => (n.op === "linear" ? [n.weight.tensor] : [])) };
}

const head = (value: number) => ["lm_head.weight", tensor([11, 8], value)] as const;

test("a stored head with a tied embedding is used if it differs, with a notice", async () => {
  const other = await open(new Map([...llama(), head(2)]));
  assert.is(other.used.at(-1), "lm_head.weight");
  assert.is(other.config.tie_word_embeddings, false);
  assert.match(other.notices.join(), /different lm_head\.weight.*transformers 5/);
  const same = await open(new Map([...llama(), head(1)]));
  assert.is(same.used.at(-1), "model.embed_tokens.weight");
  assert.is(same.config.tie_word_embeddings, true);
  assert.equal(same.notices, []);
  assert.is((await open(llama())).used.at(-1), "model.embed_tokens.weight");
});

test("of a tied pair either name may be stored; an untied head must be", async () => {
  const tensors = new Map([...llama(), head(1)]);
  tensors.delete("model.embed_tokens.weight");
  const { graph, used } = await open(tensors);
  const embed = graph.nodes.find((node) => node.op === "embed");
  assert.is(embed?.op === "embed" && embed.tokens.tensor, "lm_head.weight");
  assert.is(used.at(-1), "lm_head.weight");
  await refusal("bad_weights", () => open(llama(), { tie_word_embeddings: false }), "lm_head.weight", "tie_word");
});

test("names without a prefix, and tensors that nothing uses", async () => {
  const extra = new Map([
    ...llama(""),
    ["layers.0.self_attn.rotary_emb.inv_freq", tensor([2], 1)],
    ["other", tensor([1], 1)],
  ]);
  assert.is((await open(extra)).used[0], "layers.0.self_attn.q_proj.weight");
});

test("a tensor that is used and missing is an error by its name", async () => {
  const tensors = llama();
  tensors.delete("model.layers.0.self_attn.o_proj.weight");
  await refusal("bad_weights", () => open(tensors), "model.layers.0.self_attn.o_proj.weight");
});

test("a tensor that is used, in a shard that does not exist", async () => {
  const tensors = llama();
  const weight_map = Object.fromEntries([...tensors.keys()].map((name) => [name, "a.safetensors"]));
  tensors.delete("model.norm.weight");
  const files = (index: object) => [
    new File([JSON.stringify(config)], "config.json"),
    new File([writeSafetensors(tensors)], "a.safetensors"),
    new File([JSON.stringify({ weight_map: index })], "model.safetensors.index.json"),
  ];
  const read = async (index: object) => openModel(await openSource(files(index)), () => undefined);
  await refusal(
    "not_found",
    () => read({ ...weight_map, "model.norm.weight": "b.safetensors" }),
    "model.norm.weight",
    "b.safetensors",
  );
  tensors.set("model.norm.weight", tensor([8], 1));
  assert.ok(await read({ ...weight_map, "lm_head.weight": "a.safetensors", unused: "gone.safetensors" }));
});

test("counts of config.json that the weights do not have are refused at once", async () => {
  const begun = performance.now();
  await refusal("bad_weights", () => open(llama(), { num_hidden_layers: 60_000 }), "model.layers.1.", "60000 layers");
  await refusal("bad_config", () => open(llama(), { num_hidden_layers: 4e9 }), "num_hidden_layers");
  await refusal("bad_weights", () => open(llama(), { vocab_size: 2 ** 31 - 1 }), "[11,8]", "[2147483647,8]");
  await refusal("bad_weights", () => open(llama(), { head_dim: 2 ** 31 - 2 }), "q_proj");
  await refusal("bad_weights", () => open(llama(), { intermediate_size: 2 ** 31 - 1 }), "gate_proj");
  assert.ok(performance.now() - begun < 2000);
  const deeper = new Map([...llama(), ["model.layers.1.input_layernorm.weight", tensor([8], 1)] as const]);
  await refusal("bad_weights", () => open(deeper), "model.layers.1.input_layernorm.weight", "1 layers");
});

test.run();
