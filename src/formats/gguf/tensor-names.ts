/** What Hugging Face calls the tensors of llama.cpp's files, and in which order and orientation it stores them. */
import type { Architecture } from "./config.ts";

/** How a tensor differs from the one that a Hugging Face folder holds. */
export type Arrangement =
  /** Not at all. */
  | "same"
  /** Outputs first; the folder has them last (GPT-2's Conv1D). */
  | "turned"
  /** Rows of query or key heads, the two of each rotated pair neighbours; the folder has them half a head apart. */
  | "pairs";

export interface NamedTensor {
  readonly name: string;
  readonly arrangement: Arrangement;
  /** Whether its rows may stay quantised: linear weights, and the embedding of the tokens. */
  readonly isMatrix: boolean;
}

interface Naming {
  readonly ends: Readonly<Record<string, string>>;
  readonly layer: string;
  readonly parts: Readonly<Record<string, string>>;
  /** Parts of a layer, and ends, that may have a bias. */
  readonly biases: RegExp;
}

const LLAMA: Naming = {
  ends: { token_embd: "model.embed_tokens", output_norm: "model.norm", output: "lm_head" },
  layer: "model.layers.",
  parts: {
    attn_norm: "input_layernorm",
    attn_q: "self_attn.q_proj",
    attn_k: "self_attn.k_proj",
    attn_v: "self_attn.v_proj",
    attn_output: "self_attn.o_proj",
    ffn_norm: "post_attention_layernorm",
    ffn_gate: "mlp.gate_proj",
    ffn_up: "mlp.up_proj",
    ffn_down: "mlp.down_proj",
  },
  biases: /^(?:attn|ffn)_(?!norm)/,
};

const QWEN2: Naming = { ...LLAMA, biases: /^attn_[qkv]$/ };

const GPT2: Naming = {
  ends: {
    token_embd: "transformer.wte",
    position_embd: "transformer.wpe",
    output_norm: "transformer.ln_f",
    output: "lm_head",
  },
  layer: "transformer.h.",
  parts: {
    attn_norm: "ln_1",
    attn_qkv: "attn.c_attn",
    attn_output: "attn.c_proj",
    ffn_norm: "ln_2",
    ffn_up: "mlp.c_fc",
    ffn_down: "mlp.c_proj",
  },
  biases: /^(?:attn|ffn|output)_/,
};

const NAMINGS: Readonly<Record<Architecture, Naming>> = { llama: LLAMA, qwen2: QWEN2, gpt2: GPT2 };

/** Of the ends, those that are tables of rows. */
const TABLES = ["token_embd", "output"];

/** Tensors that are part of no graph: the divisors of RoPE's frequencies, or the frequencies themselves. */
const ROPE = /^(?:blk\.\d+\.)?(?:rope_freqs|rope_factors_(?:short|long)|attn_rot_embd)\.weight$/;

export function isRopeTensor(ggml: string): boolean {
  return ROPE.test(ggml);
}

/** @returns undefined for a tensor that models of this architecture do not have */
export function huggingFaceName(arch: Architecture, ggml: string): NamedTensor | undefined {
  const [, layer, part = "", suffix] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(ggml) ?? [];
  const { ends, layer: stem, parts, biases } = NAMINGS[arch];
  const known = layer === undefined ? ends : parts;
  const name = Object.hasOwn(known, part) ? known[part] : undefined;
  if (name === undefined || (suffix === "bias" && !biases.test(part))) return undefined;
  const isWeight = suffix === "weight";
  const isMatrix = isWeight && (layer === undefined ? TABLES.includes(part) : !part.endsWith("_norm"));
  return {
    name: `${layer === undefined ? "" : `${stem}${layer}.`}${name}.${suffix}`,
    arrangement: arrangementOf(arch, part, isMatrix && layer !== undefined),
    isMatrix,
  };
}

function arrangementOf(arch: Architecture, part: string, isLinear: boolean): Arrangement {
  if (arch === "gpt2") return isLinear ? "turned" : "same";
  if (arch !== "llama") return "same";
  return part === "attn_q" || part === "attn_k" ? "pairs" : "same";
}
