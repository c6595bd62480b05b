/** Tiny random models of shapes that kernels find awkward, as Hugging Face folders in memory. The same for one seed. */
import { narrowToBf16, narrowToF16 } from "../../src/formats/half.ts";
import { type StoredTensor, writeSafetensors } from "../../src/formats/safetensors.ts";
import { normal, seedOf, uniform } from "./draw.ts";
import { openReference, type ReferenceModel } from "./open.ts";

export interface RandomModel extends ReferenceModel {
  /** config.json and model.safetensors, as `load()` takes them in Node and in a page. */
  readonly files: readonly File[];
  /** For failure messages. */
  readonly summary: string;
}

/**
 * Every even seed is a GPT-2, every odd one of Llama's family.
 * @param intermediateSize in place of the one drawn, for what only wide matrices reach
 */
export async function openRandomModel(seed: number, intermediateSize?: number): Promise<RandomModel> {
  const pick = picker(seed);
  const dtype = pick("F32", "F16", "BF16");
  const { config, tensors } = seed % 2 === 0 ? gpt2(seed, pick, intermediateSize) : llama(seed, pick, intermediateSize);
  const stored = new Map(
    tensors.map(([name, shape, deviation, mean]) => {
      const count = shape.reduce((product, size) => product * size, 1);
      return [name, store(dtype, shape, normal(seed, name, count, deviation, mean))];
    }),
  );
  const files = [
    new File([JSON.stringify(config)], "config.json"),
    new File([writeSafetensors(stored)], "model.safetensors"),
  ];
  return { ...(await openReference(files)), files, summary: `seed ${seed}: ${dtype} ${JSON.stringify(config)}` };
}

type Pick = <T>(...choices: readonly [T, ...T[]]) => T;

function picker(seed: number): Pick {
  const next = uniform(seedOf(seed, "shape"));
  return (...choices) => choices[Math.floor(next() * choices.length)] as (typeof choices)[number];
}

/** Name, shape, deviation, mean. */
type Drawn = readonly [name: string, shape: readonly number[], deviation: number, mean?: number];

interface Folder {
  readonly config: Readonly<Record<string, unknown>>;
  readonly tensors: readonly Drawn[];
}

const POSITIONS = 48;

function gpt2(seed: number, pick: Pick, intermediateSize: number | undefined): Folder {
  const heads = pick(1, 2, 3, 4, 5);
  // Too narrow a row may have next to no variance, and the norm would make noise of that.
  const d = heads * Math.max(pick(3, 4, 5, 7, 9, 16), Math.ceil(12 / heads));
  const layers = pick(1, 2, 3);
  const drawn = pick(4 * d, 2 * d + 1, 33);
  const f = intermediateSize ?? drawn;
  const V = pick(37, 61, 128, 257);
  const tied = pick(true, true, false);
  const config = {
    model_type: "gpt2",
    n_embd: d,
    n_head: heads,
    n_layer: layers,
    n_inner: f === 4 * d ? null : f,
    n_positions: POSITIONS,
    vocab_size: V,
    activation_function: pick("gelu_new", "gelu", "quick_gelu", "relu"),
    layer_norm_epsilon: pick(1e-5, 1e-3),
    scale_attn_by_inverse_layer_idx: pick(false, false, true),
    tie_word_embeddings: tied,
    bos_token_id: 0,
    eos_token_id: 0,
  };
  const norm = (name: string): Drawn[] => [
    [`${name}.weight`, [d], 0.2, 1],
    [`${name}.bias`, [d], 0.2],
  ];
  const conv1d = (name: string, inputs: number, outputs: number): Drawn[] => [
    [`${name}.weight`, [inputs, outputs], 1 / Math.sqrt(inputs)],
    [`${name}.bias`, [outputs], 0.2],
  ];
  const prefix = seed % 4 === 0 ? "transformer." : "";
  const tensors: Drawn[] = [
    [`${prefix}wte.weight`, [V, d], 0.7],
    [`${prefix}wpe.weight`, [POSITIONS, d], 0.5],
    ...norm(`${prefix}ln_f`),
  ];
  for (let l = 0; l < layers; l++) {
    const block = `${prefix}h.${l}`;
    tensors.push(...norm(`${block}.ln_1`), ...conv1d(`${block}.attn.c_attn`, d, 3 * d));
    tensors.push(...conv1d(`${block}.attn.c_proj`, d, d), ...norm(`${block}.ln_2`));
    tensors.push(...conv1d(`${block}.mlp.c_fc`, d, f), ...conv1d(`${block}.mlp.c_proj`, f, d));
  }
  if (!tied) tensors.push(["lm_head.weight", [V, d], 0.5]);
  return { config, tensors };
}

function llama(seed: number, pick: Pick, intermediateSize: number | undefined): Folder {
  // Query heads and key/value groups: full, grouped and multi-query attention.
  const [heads, groups] = pick<readonly [number, number]>(
    [1, 1],
    [2, 2],
    [3, 3],
    [4, 2],
    [6, 2],
    [6, 3],
    [3, 1],
    [5, 1],
  );
  const head_dim = pick(2, 4, 6, 10, 16);
  const d = pick(13, 18, 22, 36, 47);
  const layers = pick(1, 2, 3);
  const drawn = pick(19, 31, 44, 65);
  const f = intermediateSize ?? drawn;
  const V = pick(41, 67, 128, 255);
  const tied = pick(true, false);
  const model_type = pick("llama", "llama", "mistral", "qwen2");
  const attention_bias = pick(false, true);
  const mlp_bias = pick(false, true);
  const config = {
    model_type,
    hidden_size: d,
    num_attention_heads: heads,
    num_key_value_heads: groups,
    head_dim,
    num_hidden_layers: layers,
    intermediate_size: f,
    vocab_size: V,
    max_position_embeddings: POSITIONS,
    rms_norm_eps: pick(1e-5, 1e-3),
    hidden_act: pick("silu", "silu", "gelu_pytorch_tanh"),
    rope_theta: pick(10000, 500),
    rope_scaling: pick<object | null>(
      null,
      { rope_type: "linear", factor: 3 },
      {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 32,
      },
    ),
    tie_word_embeddings: tied,
    bos_token_id: 0,
    eos_token_id: 1,
    ...(model_type === "llama" ? { attention_bias, mlp_bias } : {}),
    ...(model_type === "mistral" ? { sliding_window: pick(3, 5) } : {}),
  };
  const biases = {
    qkv: model_type === "qwen2" || (model_type === "llama" && attention_bias),
    o: model_type === "llama" && attention_bias,
    mlp: model_type === "llama" && mlp_bias,
  };
  const linear = (name: string, inputs: number, outputs: number, bias: boolean): Drawn[] => {
    const weight: Drawn = [`${name}.weight`, [outputs, inputs], 1 / Math.sqrt(inputs)];
    return bias ? [weight, [`${name}.bias`, [outputs], 0.2]] : [weight];
  };
  const norm = (name: string): Drawn => [`${name}.weight`, [d], 0.2, 1];
  const prefix = seed % 4 === 1 ? "model." : "";
  const tensors: Drawn[] = [[`${prefix}embed_tokens.weight`, [V, d], 0.7], norm(`${prefix}norm`)];
  for (let l = 0; l < layers; l++) {
    const block = `${prefix}layers.${l}`;
    tensors.push(norm(`${block}.input_layernorm`), norm(`${block}.post_attention_layernorm`));
    tensors.push(...linear(`${block}.self_attn.q_proj`, d, heads * head_dim, biases.qkv));
    tensors.push(...linear(`${block}.self_attn.k_proj`, d, groups * head_dim, biases.qkv));
    tensors.push(...linear(`${block}.self_attn.v_proj`, d, groups * head_dim, biases.qkv));
    tensors.push(...linear(`${block}.self_attn.o_proj`, heads * head_dim, d, biases.o));
    tensors.push(...linear(`${block}.mlp.gate_proj`, d, f, biases.mlp));
    tensors.push(...linear(`${block}.mlp.up_proj`, d, f, biases.mlp));
    tensors.push(...linear(`${block}.mlp.down_proj`, f, d, biases.mlp));
  }
  if (!tied) tensors.push(["lm_head.weight", [V, d], 0.5]);
  return { config, tensors };
}

function store(dtype: "F32" | "F16" | "BF16", shape: readonly number[], values: Float32Array): StoredTensor {
  const narrowed = dtype === "F32" ? values : dtype === "F16" ? narrowToF16(values) : narrowToBf16(values);
  return { dtype, shape, bytes: new Uint8Array(narrowed.buffer) };
}
