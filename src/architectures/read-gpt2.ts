/** config.json of GPT-2. */
import type { ModelConfig } from "../model-config.ts";
import type { ConfigFields } from "./config-fields.ts";
import { dividedHeads, MAX_LAYERS, readActivation, readTokens } from "./config-parts.ts";

/** @throws `bad_config` */
export function readGpt2(config: ConfigFields): ModelConfig {
  if (config.boolean("add_cross_attention", false)) {
    throw config.refuse("add_cross_attention", "only plain decoders are supported");
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
    max_position_embeddings: positionsOf(config),
    norm_eps: config.positive("layer_norm_epsilon", 1e-5),
    norm: "layer",
    mlp: "plain",
    activation: readActivation(config, "activation_function", "gelu_new"),
    tie_word_embeddings: config.boolean("tie_word_embeddings", true),
    learned_positions: true,
    qkv_bias: true,
    attn_out_bias: true,
    mlp_bias: true,
    bias_switches: false,
    attention_scale: Array.from({ length: num_hidden_layers }, (_, layer) => scale / (byLayer ? layer + 1 : 1)),
    ...readTokens(config, vocab_size, 50256, 50256),
  };
}

/** `n_ctx` repeats `n_positions` in old files and was never read by the model: it counts only if it is alone. */
function positionsOf(config: ConfigFields): number {
  const name = config.spelling("n_positions", "max_position_embeddings");
  return config.integer(config.raw(name) === undefined ? "n_ctx" : name, 1024);
}
