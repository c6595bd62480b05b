/**
 * Families that Llama's graph serves, with their own defaults and fields. A field that a file leaves out has the
 * default of transformers' configuration class for that family.
 */
import type { ModelConfig } from "../model-config.ts";
import type { ConfigFields } from "./config-fields.ts";
import {
  listedWindows,
  qwen2Windows,
  readWindow,
  smolLm3Windows,
  uniformWindows,
  type Windows,
} from "./layer-windows.ts";

/** The differences between families. */
export interface LlamaFamily {
  /** The name in `architectures`. */
  readonly architecture: string;
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  /** Default if the field is absent; null in the file always means one per query head. */
  readonly num_key_value_heads: number | null;
  /** Default if the field is absent; null: the heads divide the stream's width. */
  readonly head_dim: number | null;
  readonly max_position_embeddings: number;
  readonly bos_token_id?: number;
  readonly eos_token_id?: number;
  readonly tie_word_embeddings: boolean;
  readonly norm: "rms" | "layer";
  readonly eps: { readonly name: string; readonly fallback: number };
  readonly rope: RopeDefaults;
  qkvBias(config: ConfigFields): boolean;
  attnOutBias(config: ConfigFields): boolean;
  mlpBias(config: ConfigFields): boolean;
  /** Layers with RoPE; absent: all. */
  ropeLayers?(config: ConfigFields, layers: number): readonly boolean[];
  windows(config: ConfigFields, layers: number, ropeLayers: readonly boolean[]): Windows;
  /** Features of the graph that most families do not have. */
  features?(config: ConfigFields): Partial<ModelConfig>;
  /** Refuses settings that the graph does not support. */
  check?(config: ConfigFields): void;
}

/** A family's rotary embedding if config.json does not describe it. */
export interface RopeDefaults {
  readonly rope_theta: number;
  readonly partial_rotary_factor: number;
  /** transformers rotates a part of each head if the field says so. */
  readonly isPartial?: boolean;
  /** The original length, for families that always have one. */
  readonly original_max_position_embeddings?: number;
  /** Phi-3 called LongRoPE "su" and "yarn" before it had its name. */
  readonly isLongRope?: (type: string) => boolean;
}

const never = (): boolean => false;
const attentionBias = (config: ConfigFields): boolean => config.boolean("attention_bias", false);
const mlpBias = (config: ConfigFields): boolean => config.boolean("mlp_bias", false);

const llama: LlamaFamily = {
  architecture: "LlamaForCausalLM",
  vocab_size: 32000,
  hidden_size: 4096,
  intermediate_size: 11008,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: null,
  head_dim: null,
  max_position_embeddings: 2048,
  bos_token_id: 1,
  eos_token_id: 2,
  tie_word_embeddings: false,
  norm: "rms",
  eps: { name: "rms_norm_eps", fallback: 1e-6 },
  rope: { rope_theta: 10000, partial_rotary_factor: 1 },
  qkvBias: attentionBias,
  attnOutBias: attentionBias,
  mlpBias,
  windows: (config, layers) => uniformWindows(config, layers, null),
};

const mistral: LlamaFamily = {
  ...llama,
  architecture: "MistralForCausalLM",
  intermediate_size: 14336,
  num_key_value_heads: 8,
  max_position_embeddings: 131072,
  qkvBias: never,
  attnOutBias: never,
  mlpBias: never,
  windows: (config, layers) => listedWindows(config, layers, readWindow(config)),
};

const { bos_token_id: _bos, eos_token_id: _eos, ...withoutTokens } = llama;
const qwen2: LlamaFamily = {
  ...withoutTokens,
  architecture: "Qwen2ForCausalLM",
  vocab_size: 151936,
  intermediate_size: 22016,
  num_key_value_heads: 32,
  max_position_embeddings: 32768,
  qkvBias: () => true,
  attnOutBias: never,
  mlpBias: never,
  windows: qwen2Windows,
};

const phi3: LlamaFamily = {
  ...llama,
  architecture: "Phi3ForCausalLM",
  vocab_size: 32064,
  hidden_size: 3072,
  intermediate_size: 8192,
  max_position_embeddings: 4096,
  eos_token_id: 32000,
  eps: { name: "rms_norm_eps", fallback: 1e-5 },
  rope: {
    rope_theta: 10000,
    partial_rotary_factor: 1,
    isPartial: true,
    original_max_position_embeddings: 4096,
    isLongRope: (type) => type === "su" || type === "yarn",
  },
  features: () => ({ fused_projections: true }),
  qkvBias: never,
  attnOutBias: never,
  mlpBias: never,
  windows: (config, layers) => uniformWindows(config, layers, readWindow(config, null)),
};

const stablelm: LlamaFamily = {
  ...llama,
  architecture: "StableLmForCausalLM",
  vocab_size: 50304,
  hidden_size: 2560,
  intermediate_size: 6912,
  num_key_value_heads: 32,
  max_position_embeddings: 4096,
  bos_token_id: 0,
  eos_token_id: 0,
  norm: "layer",
  eps: { name: "layer_norm_eps", fallback: 1e-5 },
  rope: { rope_theta: 10000, partial_rotary_factor: 0.25, isPartial: true },
  qkvBias: (config) => config.boolean("use_qkv_bias", false),
  attnOutBias: never,
  mlpBias: never,
  check(config) {
    for (const name of ["qk_layernorm", "use_parallel_residual"]) {
      if (config.boolean(name, false)) throw config.refuse(name, "only StableLM models without it are supported");
    }
  },
};

const smollm3: LlamaFamily = {
  ...llama,
  architecture: "SmolLM3ForCausalLM",
  vocab_size: 128256,
  hidden_size: 2048,
  num_hidden_layers: 36,
  num_attention_heads: 16,
  num_key_value_heads: 4,
  max_position_embeddings: 32768,
  bos_token_id: 128000,
  eos_token_id: 128001,
  tie_word_embeddings: true,
  rope: { rope_theta: 2000000, partial_rotary_factor: 1 },
  ropeLayers: smolLm3RopeLayers,
  windows: smolLm3Windows,
};

const seedOss: LlamaFamily = {
  ...llama,
  architecture: "SeedOssForCausalLM",
  vocab_size: 155136,
  intermediate_size: 27648,
  num_hidden_layers: 64,
  num_attention_heads: 80,
  num_key_value_heads: 8,
  head_dim: 128,
  max_position_embeddings: 524288,
  bos_token_id: 0,
  qkvBias: (config) => config.boolean("attention_bias", true),
  attnOutBias: (config) => config.boolean("attention_out_bias", false),
};

/** By `model_type`. */
export const LLAMA_FAMILIES: ReadonlyMap<string, LlamaFamily> = new Map([
  ["llama", llama],
  ["mistral", mistral],
  ["ministral", { ...mistral, architecture: "MinistralForCausalLM" }],
  ["qwen2", qwen2],
  ["phi3", phi3],
  ["stablelm", stablelm],
  ["smollm3", smollm3],
  ["seed_oss", seedOss],
]);

/** `no_rope_layers` lists 1 for layers with RoPE, despite its name; without it, every fourth layer has none. */
function smolLm3RopeLayers(config: ConfigFields, layers: number): readonly boolean[] {
  const name = "no_rope_layers";
  const listed = config.raw(name);
  if (listed === undefined) {
    const interval = config.integer("no_rope_layer_interval", 4);
    return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0);
  }
  if (!Array.isArray(listed) || listed.length !== layers || listed.some((item) => item !== 0 && item !== 1)) {
    throw config.refuse(name, `it must list 0 or 1 for each of the ${layers} layers`);
  }
  return listed.map((item) => item === 1);
}
