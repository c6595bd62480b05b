// Writes a model of a real one's shape with random weights, for measuring sizes and speeds without downloading one.
//
//   node scripts/make-synthetic.mjs OUT --shape gpt2-tiny|gpt2-narrow|gpt2-124m|smollm-135m|llama-1.1b
//     [--dtype f32|f16|bf16] [--seed N] [--layers N] [--context N]
//
// One model.safetensors and config.json, no tokenizer. Weights are uniform with the spread of a fresh initialisation, so
// that logits stay finite; memory stays at one block, whatever the size.

import { once } from "node:events";
import { createWriteStream, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

const shapes = {
  "gpt2-tiny": gpt2({ hidden: 256, layers: 4, heads: 4, vocab: 8192 }),
  // As many blocks, heads and so edges (11,611) as the 124m, and little else.
  "gpt2-narrow": gpt2({ hidden: 48, layers: 12, heads: 12, vocab: 512 }),
  "gpt2-124m": gpt2({ hidden: 768, layers: 12, heads: 12, vocab: 50257 }),
  "smollm-135m": llama({ hidden: 576, layers: 30, heads: 9, groups: 3, mlp: 1536, vocab: 49152, tied: true }),
  "llama-1.1b": llama({ hidden: 2048, layers: 22, heads: 32, groups: 4, mlp: 5632, vocab: 32000, tied: false }),
};

/** @param {{ hidden: number, layers: number, heads: number, vocab: number }} shape */
function gpt2({ hidden, layers, heads, vocab }) {
  return {
    model_type: "gpt2",
    n_layer: layers,
    n_head: heads,
    n_embd: hidden,
    n_positions: 1024,
    vocab_size: vocab,
    activation_function: "gelu_new",
    layer_norm_epsilon: 1e-5,
    tie_word_embeddings: true,
  };
}

/** @param {{ hidden: number, layers: number, heads: number, groups: number, mlp: number, vocab: number, tied: boolean }} shape */
function llama({ hidden, layers, heads, groups, mlp, vocab, tied }) {
  return {
    model_type: "llama",
    hidden_size: hidden,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: groups,
    intermediate_size: mlp,
    vocab_size: vocab,
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    rope_theta: 10000,
    hidden_act: "silu",
    tie_word_embeddings: tied,
  };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    shape: { type: "string", default: "gpt2-124m" },
    dtype: { type: "string", default: "f32" },
    seed: { type: "string", default: "1" },
    layers: { type: "string" },
    context: { type: "string" },
  },
});
const [out] = positionals;
const config = shapes[values.shape];
const overrides = [
  ["layers", config?.model_type === "gpt2" ? "n_layer" : "num_hidden_layers"],
  ["context", config?.model_type === "gpt2" ? "n_positions" : "max_position_embeddings"],
];
for (const [option, field] of overrides) {
  if (config && values[option] !== undefined) config[field] = Number(values[option]);
}
const dtype = values.dtype.toUpperCase();
if (!out || !config || !["F32", "F16", "BF16"].includes(dtype)) {
  console.error(
    `Usage: node scripts/make-synthetic.mjs OUT --shape ${Object.keys(shapes).join("|")} [--dtype f32|f16|bf16] [--seed N] [--layers N] [--context N]`,
  );
  process.exit(2);
}

/** @returns {[name: string, shape: number[]][]} */
function tensorsOf() {
  if (config.model_type === "gpt2") {
    const { n_embd: d, vocab_size, n_positions, n_layer } = config;
    const blocks = Array.from({ length: n_layer }, (_, l) => [
      [`h.${l}.ln_1.weight`, [d]],
      [`h.${l}.ln_1.bias`, [d]],
      [`h.${l}.attn.c_attn.weight`, [d, 3 * d]],
      [`h.${l}.attn.c_attn.bias`, [3 * d]],
      [`h.${l}.attn.c_proj.weight`, [d, d]],
      [`h.${l}.attn.c_proj.bias`, [d]],
      [`h.${l}.ln_2.weight`, [d]],
      [`h.${l}.ln_2.bias`, [d]],
      [`h.${l}.mlp.c_fc.weight`, [d, 4 * d]],
      [`h.${l}.mlp.c_fc.bias`, [4 * d]],
      [`h.${l}.mlp.c_proj.weight`, [4 * d, d]],
      [`h.${l}.mlp.c_proj.bias`, [d]],
    ]);
    return [
      ["wte.weight", [vocab_size, d]],
      ["wpe.weight", [n_positions, d]],
      ...blocks.flat(),
      ["ln_f.weight", [d]],
      ["ln_f.bias", [d]],
    ];
  }
  const {
    hidden_size: d,
    intermediate_size: f,
    vocab_size,
    num_hidden_layers,
    num_attention_heads,
    num_key_value_heads,
  } = config;
  const kv = (d / num_attention_heads) * num_key_value_heads;
  const blocks = Array.from({ length: num_hidden_layers }, (_, l) => [
    [`model.layers.${l}.input_layernorm.weight`, [d]],
    [`model.layers.${l}.self_attn.q_proj.weight`, [d, d]],
    [`model.layers.${l}.self_attn.k_proj.weight`, [kv, d]],
    [`model.layers.${l}.self_attn.v_proj.weight`, [kv, d]],
    [`model.layers.${l}.self_attn.o_proj.weight`, [d, d]],
    [`model.layers.${l}.post_attention_layernorm.weight`, [d]],
    [`model.layers.${l}.mlp.gate_proj.weight`, [f, d]],
    [`model.layers.${l}.mlp.up_proj.weight`, [f, d]],
    [`model.layers.${l}.mlp.down_proj.weight`, [d, f]],
  ]);
  const head = config.tie_word_embeddings ? [] : [["lm_head.weight", [vocab_size, d]]];
  return [["model.embed_tokens.weight", [vocab_size, d]], ...blocks.flat(), ["model.norm.weight", [d]], ...head];
}

const tensors = tensorsOf();
const size = dtype === "F32" ? 4 : 2;
let end = 0;
const header = Object.fromEntries(
  tensors.map(([name, shape]) => {
    const begin = end;
    end += shape.reduce((a, b) => a * b, size);
    return [name, { dtype, shape, data_offsets: [begin, end] }];
  }),
);
const json = JSON.stringify({ __metadata__: { format: "pt" }, ...header });
const text = Buffer.from(json.padEnd(Math.ceil(json.length / 8) * 8));
const length = Buffer.alloc(8);
length.writeBigUInt64LE(BigInt(text.length));

// One block of weights, repeated from a different place for each tensor: making a billion random numbers takes minutes.
const BLOCK = 1 << 20;
const block = new Float32Array(BLOCK);
let state = Number(values.seed) >>> 0;
for (let i = 0; i < BLOCK; i++) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  block[i] = (state / 2 ** 32 - 0.5) * 0.07;
}
const stored = store(block);
const one = store(Float32Array.of(1));

/** @param {Float32Array} floats normal numbers between 2^-14 and 2, or rounded towards zero */
function store(floats) {
  if (dtype === "F32") return Buffer.from(floats.buffer);
  const bits = new Uint32Array(floats.buffer);
  const halves = Uint16Array.from(bits, (b) => {
    if (dtype === "BF16") return b >>> 16;
    const exponent = ((b >>> 23) & 255) - 112;
    return ((b >>> 16) & 0x8000) | (exponent <= 0 ? 0 : (exponent << 10) | ((b >>> 13) & 0x3ff));
  });
  return Buffer.from(halves.buffer);
}

mkdirSync(out, { recursive: true });
writeFileSync(
  join(out, "config.json"),
  `${JSON.stringify({ ...config, torch_dtype: { F32: "float32", F16: "float16", BF16: "bfloat16" }[dtype] }, null, 2)}\n`,
);
const file = createWriteStream(join(out, "model.safetensors"));
const write = async (bytes) => {
  if (!file.write(bytes)) await once(file, "drain");
};
await write(length);
await write(text);
let from = 0;
for (const [name, shape] of tensors) {
  let left = shape.reduce((a, b) => a * b, 1);
  if (/(ln_[12f]|norm)\.weight$|layernorm\.weight$/.test(name)) {
    await write(Buffer.concat(Array(left).fill(one)));
    continue;
  }
  while (left > 0) {
    const count = Math.min(left, BLOCK - from);
    await write(stored.subarray(from * size, (from + count) * size));
    left -= count;
    from = (from + count) % BLOCK;
  }
  from = (from + 12_345) % BLOCK;
}
file.end();
await once(file, "finish");
console.log(`${out}: ${values.shape} ${dtype}, ${(end / 1e6).toFixed(0)} MB in ${tensors.length} tensors`);
