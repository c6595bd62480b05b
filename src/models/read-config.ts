/**
 * config.json, as Hugging Face writes it, into the one shape the engine reads. What a file leaves out has the
 * value that transformers' configuration class of that family gives it. What would change the results and is
 * not run is refused by name; what does not concern inference (dropout, initialisers, `use_cache`) is passed
 * over, and so is `torch_dtype` or `dtype`: each tensor's header says how it is stored.
 */

import { QUANT_BLOCK } from "../formats/quantized-block.ts";
import { show } from "../show.ts";
import type { ActivationName, ModelConfig, QuantFormat } from "./config.ts";
import { ConfigFields } from "./config-fields.ts";
import { readRope } from "./read-rope.ts";

/** The field of config.json that says that weights are quantised. */
export const QUANTIZATION_FIELD = "sluice_quantization";

/** A model of more layers than any has; above it, a typing error would fill the memory with layer records. */
const MAX_LAYERS = 65_536;

/**
 * @param json what config.json parses to
 * @param label names the file in errors
 * @throws `bad_config` naming the field, its value and the file
 */
export function readConfig(json: unknown, label: string): ModelConfig {
  const config = new ConfigFields(json, label);
  const model_type = config.string("model_type");
  if (config.raw("quantization_config") !== undefined) {
    throw config.refuse(
      "quantization_config",
      "quantised checkpoints are not read",
      "Take the model's float16, bfloat16 or float32 weights.",
    );
  }
  const quantization = readQuantization(config);
  const quantized = quantization && { quantization };
  if (model_type === "gpt2") return { ...readGpt2(config), ...quantized };
  const family = LLAMA_FAMILIES.get(model_type);
  if (family) return { ...readLlama(config, model_type, family), ...quantized };
  const known = ["gpt2", ...LLAMA_FAMILIES.keys()].join(", ");
  throw config.refuse("model_type", `the architectures that are run are ${known}`);
}

/** What `sluice quantize` writes: the format and the length of its blocks. */
function readQuantization(config: ConfigFields): QuantFormat | undefined {
  const fields = config.object(QUANTIZATION_FIELD);
  if (!fields) return undefined;
  const format = fields.string("format");
  if (format !== "q8" && format !== "q4") throw fields.refuse("format", "q8 and q4 are read");
  if (fields.integer("block") !== QUANT_BLOCK) throw fields.refuse("block", `blocks of ${QUANT_BLOCK} are read`);
  return format;
}

/** What generation_config.json says of tokens. */
export interface GenerationConfig {
  /** Ids that end a text; null where the file names none, so that config.json's hold. */
  readonly eos_token_ids: readonly number[] | null;
}

/**
 * @param json what generation_config.json parses to
 * @param label names the file in errors
 * @param vocabulary number of token ids, from config.json
 * @throws `bad_config` for ids that are not whole numbers within the vocabulary
 */
export function readGenerationConfig(json: unknown, label: string, vocabulary: number): GenerationConfig {
  return { eos_token_ids: new ConfigFields(json, label).tokens("eos_token_id", vocabulary) ?? null };
}

function readGpt2(config: ConfigFields): ModelConfig {
  if (config.boolean("add_cross_attention", false)) {
    throw config.refuse("add_cross_attention", "only plain decoders are run");
  }
  const hidden_size = config.integer(config.spelling("n_embd", "hidden_size"), 768);
  const headsName = config.spelling("n_head", "num_attention_heads");
  const heads = config.integer(headsName, 12);
  const num_hidden_layers = config.integer(config.spelling("n_layer", "num_hidden_layers"), 12, 1, MAX_LAYERS);
  const vocab_size = config.integer("vocab_size", 50257);
  const head_dim = dividedHeads(config, headsName, hidden_size, heads);
  const scale = config.boolean("scale_attn_weights", true) ? 1 / Math.sqrt(head_dim) : 1;
  const byLayer = config.boolean("scale_attn_by_inverse_layer_idx", false);
  return {
    architecture: "gpt2",
    model_type: "gpt2",
    num_hidden_layers,
    hidden_size,
    num_attention_heads: heads,
    num_key_value_heads: heads,
    head_dim,
    intermediate_size: config.integer("n_inner", 4 * hidden_size),
    vocab_size,
    max_position_embeddings: gpt2Positions(config),
    norm_eps: config.positive("layer_norm_epsilon", 1e-5),
    activation: readActivation(config, "activation_function", "gelu_new"),
    tie_word_embeddings: config.boolean("tie_word_embeddings", true),
    qkv_bias: true,
    attn_out_bias: true,
    mlp_bias: true,
    attention_scale: Array.from({ length: num_hidden_layers }, (_, layer) => scale / (byLayer ? layer + 1 : 1)),
    ...readTokens(config, vocab_size, 50256, 50256),
  };
}

/** `n_ctx` repeats `n_positions` in old files and was never read by the model: it counts only where it is alone. */
function gpt2Positions(config: ConfigFields): number {
  const name = config.spelling("n_positions", "max_position_embeddings");
  return config.integer(config.raw(name) === undefined ? "n_ctx" : name, 1024);
}

/** Where the members of Llama's family differ: defaults, and fields that only some of them know. */
interface LlamaFamily {
  readonly vocab_size: number;
  readonly intermediate_size: number;
  /** When the field is absent; null in the file always means one per query head. */
  readonly num_key_value_heads: number | null;
  readonly max_position_embeddings: number;
  readonly bos_token_id?: number;
  readonly eos_token_id?: number;
  qkvBias(config: ConfigFields): boolean;
  attnOutBias(config: ConfigFields): boolean;
  mlpBias(config: ConfigFields): boolean;
  /** The window of each layer, null for layers that see everything. */
  windows(config: ConfigFields, layers: number): readonly (number | null)[];
}

const LLAMA_FAMILIES: ReadonlyMap<string, LlamaFamily> = new Map<string, LlamaFamily>([
  [
    "llama",
    {
      vocab_size: 32000,
      intermediate_size: 11008,
      num_key_value_heads: null,
      max_position_embeddings: 2048,
      bos_token_id: 1,
      eos_token_id: 2,
      qkvBias: (config) => config.boolean("attention_bias", false),
      attnOutBias: (config) => config.boolean("attention_bias", false),
      mlpBias: (config) => config.boolean("mlp_bias", false),
      windows: (config, layers) => uniformWindows(config, layers, null),
    },
  ],
  [
    "mistral",
    {
      vocab_size: 32000,
      intermediate_size: 14336,
      num_key_value_heads: 8,
      max_position_embeddings: 131072,
      bos_token_id: 1,
      eos_token_id: 2,
      qkvBias: () => false,
      attnOutBias: () => false,
      mlpBias: () => false,
      windows: (config, layers) => uniformWindows(config, layers, readWindow(config)),
    },
  ],
  [
    "qwen2",
    {
      vocab_size: 151936,
      intermediate_size: 22016,
      num_key_value_heads: 32,
      max_position_embeddings: 32768,
      qkvBias: () => true,
      attnOutBias: () => false,
      mlpBias: () => false,
      windows: qwen2Windows,
    },
  ],
]);

function readLlama(config: ConfigFields, model_type: string, family: LlamaFamily): ModelConfig {
  const hidden_size = config.integer("hidden_size", 4096);
  const headsName = "num_attention_heads";
  const heads = config.integer(headsName, 32);
  const num_hidden_layers = config.integer("num_hidden_layers", 32, 1, MAX_LAYERS);
  const vocab_size = config.integer("vocab_size", family.vocab_size);
  const max_position_embeddings = config.integer("max_position_embeddings", family.max_position_embeddings);
  const explicit = config.raw("head_dim") !== undefined;
  const head_dim = explicit ? config.integer("head_dim") : dividedHeads(config, headsName, hidden_size, heads);
  if (head_dim % 2 !== 0) {
    throw config.refuse(
      "head_dim",
      `the rotary embedding turns pairs, so a head's width must be even, and it is ${head_dim}`,
    );
  }
  return {
    architecture: "llama",
    model_type,
    num_hidden_layers,
    hidden_size,
    num_attention_heads: heads,
    num_key_value_heads: keyValueHeads(config, heads, family.num_key_value_heads),
    head_dim,
    intermediate_size: config.integer("intermediate_size", family.intermediate_size),
    vocab_size,
    max_position_embeddings,
    norm_eps: config.positive("rms_norm_eps", 1e-6),
    activation: readActivation(config, "hidden_act", "silu"),
    tie_word_embeddings: config.boolean("tie_word_embeddings", false),
    rope: readRope(config),
    qkv_bias: family.qkvBias(config),
    attn_out_bias: family.attnOutBias(config),
    mlp_bias: family.mlpBias(config),
    ...slidingWindow(family.windows(config, num_hidden_layers), max_position_embeddings),
    attention_scale: new Array<number>(num_hidden_layers).fill(1 / Math.sqrt(head_dim)),
    ...readTokens(config, vocab_size, family.bos_token_id, family.eos_token_id),
  };
}

/** d / H, for heads that share the stream's width among them. */
function dividedHeads(config: ConfigFields, name: string, hidden_size: number, heads: number): number {
  if (hidden_size % heads === 0) return hidden_size / heads;
  throw config.refuse(
    name,
    `the heads must share the hidden size of ${hidden_size} evenly where head_dim is not given`,
  );
}

function keyValueHeads(config: ConfigFields, heads: number, absent: number | null): number {
  const name = "num_key_value_heads";
  const groups = config.integer(name, config.has(name) ? heads : (absent ?? heads));
  if (heads % groups === 0) return groups;
  throw config.refuse(name, `the ${heads} query heads do not share ${groups} key/value heads evenly`);
}

/**
 * transformers' names for what are five functions here. Its tanh forms of gelu (gelu_new, gelu_fast, …) are one
 * formula written in different ways, equal up to rounding.
 */
const ACTIVATIONS: ReadonlyMap<string, ActivationName> = new Map<string, ActivationName>([
  ["gelu_new", "gelu_new"],
  ["gelu_fast", "gelu_new"],
  ["gelu_accurate", "gelu_new"],
  ["gelu_pytorch_tanh", "gelu_new"],
  ["gelu_python_tanh", "gelu_new"],
  ["gelu", "gelu"],
  ["gelu_python", "gelu"],
  ["quick_gelu", "gelu_quick"],
  ["relu", "relu"],
  ["silu", "silu"],
  ["swish", "silu"],
]);

function readActivation(config: ConfigFields, name: string, fallback: ActivationName): ActivationName {
  const activation = ACTIVATIONS.get(config.string(name, fallback));
  if (activation) return activation;
  throw config.refuse(name, `the activations that are run are ${[...ACTIVATIONS.keys()].join(", ")}`);
}

/** A family's default ids hold only where they lie within the vocabulary: small models keep the large one's class. */
function readTokens(
  config: ConfigFields,
  vocabulary: number,
  bosDefault: number | undefined,
  eosDefault: number | undefined,
): Pick<ModelConfig, "bos_token_id" | "eos_token_ids"> {
  const within = (id: number | undefined) => (id !== undefined && id < vocabulary ? id : undefined);
  const bos = config.has("bos_token_id") ? config.token("bos_token_id", vocabulary) : within(bosDefault);
  const eos = config.has("eos_token_id") ? config.tokens("eos_token_id", vocabulary) : within(eosDefault);
  const eos_token_ids = typeof eos === "number" ? [eos] : (eos ?? []);
  return bos === undefined ? { eos_token_ids } : { eos_token_ids, bos_token_id: bos };
}

/** Mistral's and Qwen2's default of 4,096 holds where the field is absent; null is no window. */
function readWindow(config: ConfigFields): number | null {
  const name = "sliding_window";
  return config.has(name) && config.raw(name) === undefined ? null : config.integer(name, 4096);
}

/** One window for all layers, which a list of layer types, if there is one, must bear out. */
function uniformWindows(config: ConfigFields, layers: number, window: number | null): readonly (number | null)[] {
  const type = window === null ? "full_attention" : "sliding_attention";
  if (readLayerTypes(config, layers)?.some((other) => other !== type)) {
    throw config.refuse("layer_types", `by its other fields every layer of this model has ${type}`);
  }
  return new Array<number | null>(layers).fill(window);
}

/** Qwen2: the layers from `max_window_layers` on have the window, unless `layer_types` says which. */
function qwen2Windows(config: ConfigFields, layers: number): readonly (number | null)[] {
  const window = config.boolean("use_sliding_window", false) ? readWindow(config) : null;
  const full = config.integer("max_window_layers", 28, 0);
  const types = readLayerTypes(config, layers);
  if (window === null && types?.includes("sliding_attention")) {
    throw config.refuse("layer_types", "there is no window: use_sliding_window is not true, or sliding_window is null");
  }
  return Array.from({ length: layers }, (_, layer) =>
    (types ? types[layer] === "sliding_attention" : layer >= full) ? window : null,
  );
}

function readLayerTypes(config: ConfigFields, layers: number): readonly string[] | undefined {
  const types = config.raw("layer_types");
  if (types === undefined) return undefined;
  if (!Array.isArray(types) || types.length !== layers) {
    throw config.refuse("layer_types", `it must list one type for each of the ${layers} layers`);
  }
  const unknown = types.find((type) => type !== "full_attention" && type !== "sliding_attention") as unknown;
  if (unknown === undefined) return types as readonly string[];
  throw config.refuse("layer_types", `${show(unknown)} is not run, only "full_attention" and "sliding_attention" are`);
}

/** A window as wide as the context hides nothing, so it is left out. */
function slidingWindow(
  windows: readonly (number | null)[],
  context: number,
): Pick<ModelConfig, "sliding_window" | "sliding_layers"> {
  const window = windows.find((width) => width !== null && width < context);
  if (window === undefined || window === null) return {};
  const everywhere = windows.every((width) => width !== null);
  return everywhere
    ? { sliding_window: window }
    : { sliding_window: window, sliding_layers: windows.map((width) => width !== null) };
}
