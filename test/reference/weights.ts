/** A checkpoint's tensors in float64, arranged by what they do, the same for both families. */
import type { Checkpoint } from "../../src/formats/checkpoint.ts";
import { widen } from "../../src/formats/half.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import type { Linear, Norm } from "./rows.ts";

export interface BlockWeights {
  readonly attnNorm: Norm;
  readonly q: Linear;
  readonly k: Linear;
  readonly v: Linear;
  readonly o: Linear;
  readonly mlpNorm: Norm;
  /** Llama's gate_proj. */
  readonly gate: Linear | undefined;
  /** GPT-2's c_fc, Llama's up_proj. */
  readonly up: Linear;
  readonly down: Linear;
}

export interface ReferenceWeights {
  /** `[V, d]` */
  readonly tokens: Float64Array;
  /** `[positions, d]`, GPT-2. */
  readonly positions: Float64Array | undefined;
  readonly blocks: readonly BlockWeights[];
  readonly finalNorm: Norm;
  readonly head: Linear;
}

/** Tensors by their Hugging Face names, row-major. */
export type Tensors = ReadonlyMap<string, Float64Array>;

export async function readTensors(checkpoint: Checkpoint): Promise<Tensors> {
  const tensors = new Map<string, Float64Array>();
  for (const { name, dtype, byteLength } of checkpoint.tensors.values()) {
    tensors.set(name, Float64Array.from(widen(dtype, await checkpoint.read(name, 0, byteLength))));
  }
  return tensors;
}

/** @throws Error naming the tensor that is missing */
export function arrange(tensors: Tensors, config: ModelConfig): ReferenceWeights {
  return config.architecture === "gpt2" ? arrangeGpt2(tensors, config) : arrangeLlama(tensors, config);
}

/** Finds tensors with or without the family's prefix. */
function finder(tensors: Tensors, prefix: string): (name: string) => Float64Array {
  return (name) => {
    const tensor = tensors.get(`${prefix}.${name}`) ?? tensors.get(name);
    if (!tensor) throw new Error(`The reference finds no tensor ${name}`);
    return tensor;
  };
}

function arrangeGpt2(tensors: Tensors, config: ModelConfig): ReferenceWeights {
  const { hidden_size: d, intermediate_size: f, vocab_size: V, norm_eps: eps } = config;
  const n = config.num_attention_heads * config.head_dim;
  const find = finder(tensors, "transformer");
  const norm = (name: string): Norm => ({ gain: find(`${name}.weight`), bias: find(`${name}.bias`), eps });
  // Conv1D is stored [inputs, outputs]; q, k and v are thirds of one.
  const conv1d = (name: string, inputs: number, all: number, first = 0, outputs = all): Linear => {
    const stored = find(`${name}.weight`);
    const weight = new Float64Array(outputs * inputs);
    for (let j = 0; j < outputs; j++) {
      for (let i = 0; i < inputs; i++) weight[j * inputs + i] = stored[i * all + first + j] as number;
    }
    return { weight, bias: find(`${name}.bias`).slice(first, first + outputs), inputs, outputs };
  };
  const tokens = find("wte.weight");
  return {
    tokens,
    positions: find("wpe.weight"),
    blocks: Array.from({ length: config.num_hidden_layers }, (_, l) => ({
      attnNorm: norm(`h.${l}.ln_1`),
      q: conv1d(`h.${l}.attn.c_attn`, d, 3 * n, 0, n),
      k: conv1d(`h.${l}.attn.c_attn`, d, 3 * n, n, n),
      v: conv1d(`h.${l}.attn.c_attn`, d, 3 * n, 2 * n, n),
      o: conv1d(`h.${l}.attn.c_proj`, n, d),
      mlpNorm: norm(`h.${l}.ln_2`),
      gate: undefined,
      up: conv1d(`h.${l}.mlp.c_fc`, d, f),
      down: conv1d(`h.${l}.mlp.c_proj`, f, d),
    })),
    finalNorm: norm("ln_f"),
    head: {
      weight: config.tie_word_embeddings ? tokens : find("lm_head.weight"),
      bias: undefined,
      inputs: d,
      outputs: V,
    },
  };
}

function arrangeLlama(tensors: Tensors, config: ModelConfig): ReferenceWeights {
  const { hidden_size: d, intermediate_size: f, vocab_size: V, norm_eps: eps, head_dim } = config;
  const queries = config.num_attention_heads * head_dim;
  const keys = config.num_key_value_heads * head_dim;
  const find = finder(tensors, "model");
  const norm = (name: string): Norm => ({ gain: find(`${name}.weight`), bias: undefined, eps });
  const linear = (name: string, inputs: number, outputs: number, bias: boolean): Linear => ({
    weight: find(`${name}.weight`),
    bias: bias ? find(`${name}.bias`) : undefined,
    inputs,
    outputs,
  });
  const tokens = find("embed_tokens.weight");
  return {
    tokens,
    positions: undefined,
    blocks: Array.from({ length: config.num_hidden_layers }, (_, l) => ({
      attnNorm: norm(`layers.${l}.input_layernorm`),
      q: linear(`layers.${l}.self_attn.q_proj`, d, queries, config.qkv_bias),
      k: linear(`layers.${l}.self_attn.k_proj`, d, keys, config.qkv_bias),
      v: linear(`layers.${l}.self_attn.v_proj`, d, keys, config.qkv_bias),
      o: linear(`layers.${l}.self_attn.o_proj`, queries, d, config.attn_out_bias),
      mlpNorm: norm(`layers.${l}.post_attention_layernorm`),
      gate: linear(`layers.${l}.mlp.gate_proj`, d, f, config.mlp_bias),
      up: linear(`layers.${l}.mlp.up_proj`, d, f, config.mlp_bias),
      down: linear(`layers.${l}.mlp.down_proj`, f, d, config.mlp_bias),
    })),
    finalNorm: norm("norm"),
    head: {
      weight: config.tie_word_embeddings ? tokens : find("lm_head.weight"),
      bias: undefined,
      inputs: d,
      outputs: V,
    },
  };
}
