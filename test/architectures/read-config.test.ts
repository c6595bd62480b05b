import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { SluiceError } from "../../src/errors.ts";
import { refusal } from "../formats/refusal.ts";
import { gpt2, llama, llama3Scaling, mistral, qwen2, read, readNoting, refused } from "./configs.ts";

test("GPT-2: given and missing fields", () => {
  assert.equal(read(gpt2), {
    architecture: "gpt2",
    model_type: "gpt2",
    num_hidden_layers: 3,
    hidden_size: 48,
    num_attention_heads: 4,
    num_key_value_heads: 4,
    head_dim: 12,
    intermediate_size: 192,
    vocab_size: 101,
    max_position_embeddings: 64,
    norm_eps: 1e-5,
    norm: "layer",
    mlp: "plain",
    activation: "gelu_new",
    tie_word_embeddings: true,
    learned_positions: true,
    qkv_bias: true,
    attn_out_bias: true,
    mlp_bias: true,
    bias_switches: false,
    attention_scale: [1, 1, 1].map((scale) => scale / Math.sqrt(12)),
    eos_token_ids: [],
  });
});

test("GPT-2 small by its defaults only", () => {
  const { hidden_size, num_hidden_layers, vocab_size, max_position_embeddings, bos_token_id, eos_token_ids } = read({
    model_type: "gpt2",
  });
  assert.equal([hidden_size, num_hidden_layers, vocab_size, max_position_embeddings], [768, 12, 50257, 1024]);
  assert.is(bos_token_id, 50256);
  assert.equal(eos_token_ids, [50256]);
});

test("GPT-2: inner width, untied head, epsilon, positions in old and other spellings", () => {
  assert.is(read({ ...gpt2, n_inner: 100 }).intermediate_size, 100);
  assert.is(read({ ...gpt2, n_inner: null }).intermediate_size, 192);
  assert.is(read({ ...gpt2, tie_word_embeddings: false }).tie_word_embeddings, false);
  assert.is(read({ ...gpt2, layer_norm_epsilon: 1e-6 }).norm_eps, 1e-6);
  assert.is(read({ ...gpt2, n_ctx: 32 }).max_position_embeddings, 64);
  assert.is(read({ ...gpt2, n_positions: undefined, n_ctx: 32 }).max_position_embeddings, 32);
  const { n_embd: hidden_size, n_head: num_attention_heads, n_layer: num_hidden_layers, ...rest } = gpt2;
  assert.equal(read({ ...rest, hidden_size, num_attention_heads, num_hidden_layers }), read(gpt2));
});

test("GPT-2: scales of the attention", () => {
  assert.equal(read({ ...gpt2, scale_attn_weights: false }).attention_scale, [1, 1, 1]);
  assert.equal(read({ ...gpt2, scale_attn_weights: false, scale_attn_by_inverse_layer_idx: true }).attention_scale, [
    1,
    1 / 2,
    1 / 3,
  ]);
  const both = read({ ...gpt2, n_embd: 64, scale_attn_by_inverse_layer_idx: true, reorder_and_upcast_attn: true });
  assert.equal(both.attention_scale, [1 / 4, 1 / 8, 1 / 12]);
});

test("activations by all their names", async () => {
  const names = {
    gelu_new: "gelu_new",
    gelu_fast: "gelu_new",
    gelu_pytorch_tanh: "gelu_new",
    gelu: "gelu",
    quick_gelu: "gelu_quick",
    relu: "relu",
    silu: "silu",
    swish: "silu",
  };
  for (const [name, expected] of Object.entries(names)) {
    assert.is(read({ ...gpt2, activation_function: name }).activation, expected);
    assert.is(read({ ...llama, hidden_act: name }).activation, expected);
  }
  await refused(gpt2, { activation_function: "mish" }, "activation_function", '"mish"', "gelu_new");
  await refused(llama, { hidden_act: "toString" }, "hidden_act", '"toString"');
});

test("Llama: given and missing fields", () => {
  assert.equal(read(llama), {
    architecture: "llama",
    model_type: "llama",
    num_hidden_layers: 3,
    hidden_size: 64,
    num_attention_heads: 8,
    num_key_value_heads: 2,
    head_dim: 8,
    intermediate_size: 172,
    vocab_size: 131,
    max_position_embeddings: 256,
    norm_eps: 1e-6,
    norm: "rms",
    mlp: "gated",
    activation: "silu",
    tie_word_embeddings: false,
    rope: { rope_theta: 10000, scaling: { rope_type: "default" } },
    learned_positions: false,
    qkv_bias: false,
    attn_out_bias: false,
    mlp_bias: false,
    bias_switches: true,
    attention_scale: new Array(3).fill(1 / Math.sqrt(8)),
    bos_token_id: 1,
    eos_token_ids: [2],
  });
});

test("Llama: key/value heads, head width, biases", async () => {
  assert.is(read({ ...llama, num_key_value_heads: undefined }).num_key_value_heads, 8);
  assert.is(read({ ...llama, num_key_value_heads: null }).num_key_value_heads, 8);
  assert.is(read({ ...llama, num_key_value_heads: 1 }).num_key_value_heads, 1);
  const wide = read({ ...llama, num_attention_heads: 6, hidden_size: 70, num_key_value_heads: 3, head_dim: 20 });
  assert.is(wide.head_dim, 20);
  assert.is(wide.attention_scale[0], 1 / Math.sqrt(20));
  const { qkv_bias, attn_out_bias, mlp_bias } = read({ ...llama, attention_bias: true, mlp_bias: true });
  assert.equal([qkv_bias, attn_out_bias, mlp_bias], [true, true, true]);
  await refused(llama, { num_key_value_heads: 3 }, "num_key_value_heads is 3", "8 query heads");
  await refused(llama, { num_key_value_heads: 16 }, "num_key_value_heads is 16");
  await refused(llama, { head_dim: 7 }, "head_dim is 7", "even");
  await refused(llama, { hidden_size: 72 }, "head_dim is missing", "it is 9");
  await refused(llama, { hidden_size: 63 }, "num_attention_heads is 8", "63");
  await refused(gpt2, { n_head: 5 }, "n_head is 5", "48");
});

test("what does not concern inference is passed over", () => {
  const ignored = {
    torch_dtype: "float16",
    dtype: "bfloat16",
    use_cache: false,
    pretraining_tp: 2,
    architectures: ["X"],
  };
  assert.equal(read({ ...llama, ...ignored }), read(llama));
});

test("Mistral: a window unless the file says null; none as wide as the context", async () => {
  const long = { ...mistral, max_position_embeddings: 32768 };
  assert.is(read(long).sliding_window, 4096);
  assert.is(read(long).sliding_layers, undefined);
  assert.is(read({ ...long, sliding_window: null }).sliding_window, undefined);
  assert.is(read({ ...long, sliding_window: 32768 }).sliding_window, undefined);
  assert.is(read({ ...long, sliding_window: 100 }).sliding_window, 100);
  assert.is(read(mistral).architecture, "llama");
  assert.is(read(mistral).model_type, "mistral");
  assert.is(read({ ...mistral, attention_bias: true }).qkv_bias, false);
  assert.is(read({ ...mistral, num_key_value_heads: undefined }).num_key_value_heads, 8);
  assert.is(read({ ...mistral, num_attention_heads: 4, num_key_value_heads: null }).num_key_value_heads, 4);
  await refused(long, { sliding_window: 0 }, "sliding_window is 0");
  const types = ["full_attention", "sliding_attention", "full_attention"];
  assert.equal(read({ ...long, layer_types: types }).sliding_layers, [false, true, false]);
  await refused(long, { layer_types: types, sliding_window: null }, "layer_types", "no window");
  const { config, notices } = readNoting({ ...llama, layer_types: types });
  assert.is(config.sliding_window, undefined);
  assert.match(notices.join(), /layer_types is ignored/);
});

test("Qwen2: biases only on q, k and v; a window only if it is switched on", async () => {
  const { qkv_bias, attn_out_bias, mlp_bias, bos_token_id, eos_token_ids, sliding_window } = read(qwen2);
  assert.equal([qkv_bias, attn_out_bias, mlp_bias], [true, false, false]);
  assert.is(bos_token_id, undefined);
  assert.equal(eos_token_ids, []);
  assert.is(sliding_window, undefined);
  const on = { ...qwen2, use_sliding_window: true, sliding_window: 32 };
  assert.is(read({ ...on, max_window_layers: 28 }).sliding_window, undefined);
  assert.is(read({ ...on, max_window_layers: 0 }).sliding_window, 32);
  assert.is(read({ ...on, max_window_layers: 0 }).sliding_layers, undefined);
  assert.equal(read({ ...on, max_window_layers: 1 }).sliding_layers, [false, true, true]);
  const types = ["sliding_attention", "full_attention", "sliding_attention"];
  assert.equal(read({ ...on, layer_types: types }).sliding_layers, [true, false, true]);
  assert.is(read({ ...qwen2, layer_types: new Array(3).fill("full_attention") }).sliding_window, undefined);
  await refused(qwen2, { layer_types: types }, "layer_types", "no window");
  await refused(on, { layer_types: types.slice(1) }, "layer_types", "3 layers");
  await refused(on, { layer_types: ["full_attention", "full_attention", "chunked_attention"] }, "chunked_attention");
});

test("other architectures and encoders are refused", async () => {
  await refused({ model_type: "gemma" }, {}, 'model_type is "gemma"', "gpt2, llama, mistral", "qwen2, phi3");
  await refused({}, {}, "model_type is missing");
  await refused(gpt2, { add_cross_attention: true }, "add_cross_attention");
  for (const json of [null, [], "x", 5]) await refusal("bad_config", () => read(json), "m/config.json", "object");
});

test("spellings of one field that differ", async () => {
  await refused(gpt2, { hidden_size: 64 }, "n_embd is 48", "hidden_size is 64");
  assert.equal(read({ ...gpt2, hidden_size: 48 }), read(gpt2));
});

test("invalid sizes are refused by name", async () => {
  const integers = {
    gpt2: ["n_embd", "n_head", "n_layer", "n_inner", "vocab_size", "n_positions"],
    llama: [
      "hidden_size",
      "num_attention_heads",
      "num_key_value_heads",
      "num_hidden_layers",
      "intermediate_size",
      "vocab_size",
      "max_position_embeddings",
      "head_dim",
    ],
  };
  for (const value of [0, -1, 1.5, "8", true, [8], {}, 2 ** 31, 1e300]) {
    for (const name of integers.gpt2) await refused(gpt2, { [name]: value }, `${name} is ${JSON.stringify(value)}`);
    for (const name of integers.llama) await refused(llama, { [name]: value }, `${name} is ${JSON.stringify(value)}`);
  }
  await refused(llama, { num_hidden_layers: 2 ** 30 }, "num_hidden_layers", "65536");
  for (const value of [0, -1e-5, "1e-5", false, []]) {
    await refused(gpt2, { layer_norm_epsilon: value }, "layer_norm_epsilon");
    await refused(llama, { rms_norm_eps: value }, "rms_norm_eps");
  }
  for (const name of ["tie_word_embeddings", "attention_bias", "mlp_bias"])
    await refused(llama, { [name]: 1 }, `${name} is 1`);
});

test("token ids: one, several, none, and beyond the vocabulary", async () => {
  assert.equal(read({ ...llama, eos_token_id: 130 }).eos_token_ids, [130]);
  assert.equal(read({ ...llama, eos_token_id: [3, 0, 3] }).eos_token_ids, [3, 0]);
  assert.equal(read({ ...llama, eos_token_id: null, bos_token_id: null }).eos_token_ids, []);
  assert.is(read({ ...llama, bos_token_id: null }).bos_token_id, undefined);
});

test("token ids outside the vocabulary are ignored, with a notice", () => {
  for (const [eos_token_id, ids, notice] of [
    [131, [], /eos_token_id holds 131/],
    [[1, 131], [1], /holds 131/],
    [[1, -1, null], [1], null],
    [-1, [], null],
    ["2", [], /holds "2"/],
    [[[1]], [], /holds \[1\]/],
    [1.5, [], /holds 1.5/],
  ] as const) {
    const { config, notices } = readNoting({ ...llama, eos_token_id });
    assert.equal(config.eos_token_ids, ids);
    if (notice) assert.match(notices.join(), notice);
    else assert.equal(notices, []);
  }
  assert.is(read({ ...llama, bos_token_id: 131 }).bos_token_id, undefined);
});

test("without model_type, or with an unknown one, architectures decides", async () => {
  const { model_type: _, ...untyped } = llama;
  const missing = readNoting({ ...untyped, architectures: ["LlamaForCausalLM"] });
  assert.equal(missing.config, read(llama));
  assert.match(missing.notices.join(), /model_type is missing.*llama/);
  assert.is(read({ ...untyped, architectures: ["Qwen2Model"] }).model_type, "qwen2");
  const unknown = readNoting({ ...llama, model_type: "Yi", architectures: ["LlamaForCausalLM"] });
  assert.equal(unknown.config, read(llama));
  assert.match(unknown.notices.join(), /"Yi" is not known/);
  await refused(untyped, { architectures: ["GemmaForCausalLM"] }, "model_type is missing");
  await refused(untyped, { architectures: "x".repeat(1000) }, "model_type is missing");
  assert.is(read({ ...llama, architectures: ["MistralForCausalLM"] }).model_type, "llama");
});

test("any value of a field gives a consistent configuration or a named refusal", () => {
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 1 }),
    fc.integer({ min: -2, max: 70 }),
    fc.constantFrom("linear", "llama3", "gelu"),
  );
  const names = [
    ...new Set([gpt2, llama, llama3Scaling].flatMap(Object.keys)),
    "rope_scaling",
    "rope_parameters",
    "rope_theta",
    "head_dim",
    "n_inner",
    "sliding_window",
    "layer_types",
    "eos_token_id",
  ];
  const fields = fc.dictionary(fc.constantFrom(...names.filter((name) => name !== "model_type")), value, {
    maxKeys: 4,
  });
  fc.assert(
    fc.property(fc.constantFrom(gpt2, llama, mistral, qwen2), fields, (base, changes) => {
      try {
        const config = read({ ...base, ...changes });
        assert.is(config.num_attention_heads % config.num_key_value_heads, 0);
        assert.is(config.attention_scale.length, config.num_hidden_layers);
        assert.ok(config.architecture === "gpt2" || config.head_dim % 2 === 0);
        assert.ok(config.eos_token_ids.every((id) => id >= 0 && id < config.vocab_size));
        for (const size of [config.hidden_size, config.intermediate_size, config.head_dim]) assert.ok(size > 0);
      } catch (error) {
        if (!(error instanceof SluiceError)) throw error;
        assert.is(error.code, "bad_config");
        assert.ok(error.message.startsWith("m/config.json: "), error.message);
      }
    }),
    { numRuns: 2000 },
  );
});

test.run();
