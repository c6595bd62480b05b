/** config.json and generation_config.json of the model in a GGUF file, made from its metadata and its tensors' shapes. */
import { SluiceError } from "../../errors.ts";
import { show } from "../../show.ts";
import type { TensorInfo } from "../checkpoint.ts";
import type { Metadata } from "./metadata.ts";
import { type RopeFactors, ropeScaling } from "./rope-scaling.ts";
import { endIds, hasTokenizer, specialIds } from "./special-ids.ts";

type Json = Readonly<Record<string, unknown>>;

export type Architecture = "llama" | "qwen2" | "gpt2";

const SUPPORTED: readonly string[] = ["llama", "qwen2", "gpt2"] satisfies Architecture[];

/**
 * The architecture of the model in a file.
 * @throws `bad_config` for a file that holds another one, or no model
 */
export function architectureOf(metadata: Metadata): Architecture {
  const key = "general.architecture";
  const name = metadata.text(key);
  if (name === "controlvector") {
    throw metadata.refuse(key, "it is a control vector, not a model", "`sluice bundle import` makes a bundle of it.");
  }
  if (metadata.text("general.type") === "adapter") {
    throw metadata.refuse("general.type", "it is an adapter, not a whole model", "Give the model's file.");
  }
  if (name === undefined || !SUPPORTED.includes(name)) {
    throw metadata.refuse(
      key,
      "GGUF files of llama (Mistral's models are among them), qwen2 and gpt2 are run",
      "If its family is supported, give the folder or id of the model that it was made from, with safetensors.",
    );
  }
  if ((metadata.whole(`${name}.expert_count`) ?? 0) > 0) {
    throw metadata.refuse(`${name}.expert_count`, "mixtures of experts are not supported", "Use a dense model.");
  }
  return name as Architecture;
}

/**
 * @param tensors by ggml's names
 * @throws `bad_config` naming the key and its value
 */
export function configOf(
  metadata: Metadata,
  arch: Architecture,
  tensors: ReadonlyMap<string, TensorInfo>,
  factors: RopeFactors,
): Json {
  const shared = {
    vocab_size: vocabularySize(metadata, arch, tensors),
    tie_word_embeddings: !tensors.has("output.weight"),
    ...tokenIds(metadata),
  };
  return arch === "gpt2"
    ? { ...gpt2Config(metadata), ...shared }
    : { ...llamaConfig(metadata, arch, tensors, factors), ...shared };
}

function gpt2Config(metadata: Metadata): Json {
  const key = "gpt2.attention.layer_norm_epsilon";
  return {
    model_type: "gpt2",
    architectures: ["GPT2LMHeadModel"],
    n_embd: metadata.needed("gpt2.embedding_length"),
    n_head: metadata.needed("gpt2.attention.head_count"),
    n_layer: metadata.needed("gpt2.block_count"),
    n_inner: metadata.needed("gpt2.feed_forward_length"),
    n_positions: metadata.needed("gpt2.context_length"),
    layer_norm_epsilon: epsilon(metadata, key),
    activation_function: "gelu_new",
  };
}

function llamaConfig(
  metadata: Metadata,
  arch: "llama" | "qwen2",
  tensors: ReadonlyMap<string, TensorInfo>,
  factors: RopeFactors,
): Json {
  const hidden_size = metadata.needed(`${arch}.embedding_length`);
  const heads = metadata.needed(`${arch}.attention.head_count`);
  const head_dim = headWidth(metadata, arch, hidden_size / heads);
  const rope_theta = metadata.float(`${arch}.rope.freq_base`) ?? 10000;
  const max_position_embeddings = metadata.needed(`${arch}.context_length`);
  const scaling = ropeScaling(metadata, arch, factors, { head_dim, rope_theta, max_position_embeddings });
  const window = metadata.whole(`${arch}.attention.sliding_window`) ?? 0;
  const isMistral = arch === "llama" && window > 0;
  return {
    model_type: isMistral ? "mistral" : arch,
    architectures: [isMistral ? "MistralForCausalLM" : arch === "llama" ? "LlamaForCausalLM" : "Qwen2ForCausalLM"],
    hidden_size,
    intermediate_size: metadata.needed(`${arch}.feed_forward_length`),
    num_hidden_layers: metadata.needed(`${arch}.block_count`),
    num_attention_heads: heads,
    num_key_value_heads: metadata.whole(`${arch}.attention.head_count_kv`) ?? heads,
    ...(head_dim !== hidden_size / heads && { head_dim }),
    max_position_embeddings,
    rms_norm_eps: epsilon(metadata, `${arch}.attention.layer_norm_rms_epsilon`),
    rope_theta,
    ...(scaling && { rope_scaling: scaling }),
    ...partialRotary(metadata, arch, head_dim),
    ...(isMistral && { sliding_window: window }),
    hidden_act: "silu",
    ...(arch === "llama" &&
      !isMistral && {
        attention_bias: hasBias(tensors, "attn"),
        mlp_bias: hasBias(tensors, "ffn"),
      }),
  };
}

/** Whether the first layer has a bias in its attention or its MLP. A bias that the others lack is then missed by name. */
function hasBias(tensors: ReadonlyMap<string, TensorInfo>, block: "attn" | "ffn"): boolean {
  return [...tensors.keys()].some((name) => name.startsWith(`blk.0.${block}_`) && name.endsWith(".bias"));
}

/** The width of a head: as stated, or the heads' share of the stream. */
function headWidth(metadata: Metadata, arch: string, share: number): number {
  const width = metadata.whole(`${arch}.attention.key_length`) ?? share;
  const values = metadata.whole(`${arch}.attention.value_length`) ?? width;
  if (values === width) return width;
  throw metadata.refuse(`${arch}.attention.value_length`, `but the keys have ${width}; both must be as wide`);
}

/** The share of each head that is rotated. */
function partialRotary(metadata: Metadata, arch: string, head_dim: number): Json {
  const key = `${arch}.rope.dimension_count`;
  const rotated = metadata.whole(key) ?? head_dim;
  if (rotated === head_dim) return {};
  if (arch === "qwen2" && rotated < head_dim) return { partial_rotary_factor: rotated / head_dim };
  throw metadata.refuse(key, `only whole heads, of ${head_dim}, are rotated in such models`);
}

function epsilon(metadata: Metadata, key: string): number {
  const value = metadata.float(key);
  if (value !== undefined && value > 0) return value;
  throw metadata.refuse(key, "it must be a number above 0");
}

/** The rows of the embedding, which may be more than there are tokens. */
function vocabularySize(metadata: Metadata, arch: string, tensors: ReadonlyMap<string, TensorInfo>): number {
  const rows = tensors.get("token_embd.weight")?.shape[0];
  if (rows !== undefined) return rows;
  throw new SluiceError(
    "bad_weights",
    `${metadata.where} has no tensor "token_embd.weight", the embedding of ${show(arch)}`,
    {
      hint: "The file is not a whole model. If it is one of several parts, give the first.",
    },
  );
}

function tokenIds(metadata: Metadata): Json {
  if (!hasTokenizer(metadata)) return {};
  const ids = specialIds(metadata);
  return { bos_token_id: ids.get("bos_token") ?? null, eos_token_id: ids.get("eos_token") ?? null };
}

/** The makers' sampling settings, by the names of generation_config.json. */
const SAMPLING = {
  temperature: "temp",
  top_k: "top_k",
  top_p: "top_p",
  min_p: "min_p",
  repetition_penalty: "penalty_repeat",
};

/** What ends a text, and the makers' sampling settings, if there are any. */
export function generationConfigOf(metadata: Metadata): Json {
  const settings: Record<string, unknown> = {};
  for (const [name, key] of Object.entries(SAMPLING)) {
    const value = metadata.float(`general.sampling.${key}`);
    if (value !== undefined) settings[name] = value;
  }
  const ends = hasTokenizer(metadata) ? endIds(metadata) : [];
  return {
    ...(ends.length > 0 && { eos_token_id: ends.length === 1 ? ends[0] : ends }),
    ...(Object.keys(settings).length > 0 && { do_sample: true, ...settings }),
  };
}
