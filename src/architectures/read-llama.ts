/** config.json of Llama and similar families. */
import type { ModelConfig } from "../model-config.ts";
import type { ConfigFields } from "./config-fields.ts";
import { dividedHeads, MAX_LAYERS, readActivation, readTokens } from "./config-parts.ts";
import { slidingWindow } from "./layer-windows.ts";
import type { LlamaFamily } from "./llama-families.ts";
import { readRope } from "./read-rope.ts";
import { rotaryWidth } from "./rope.ts";

/** @throws `bad_config` */
export function readLlama(config: ConfigFields, model_type: string, family: LlamaFamily): ModelConfig {
  family.check?.(config);
  const hidden_size = config.integer("hidden_size", family.hidden_size);
  const headsName = "num_attention_heads";
  const heads = config.integer(headsName, family.num_attention_heads);
  const layers = config.integer("num_hidden_layers", family.num_hidden_layers, 1, MAX_LAYERS);
  const vocab_size = config.integer("vocab_size", family.vocab_size);
  const max_position_embeddings = config.integer("max_position_embeddings", family.max_position_embeddings);
  const explicit = config.raw("head_dim") ?? (config.has("head_dim") ? undefined : (family.head_dim ?? undefined));
  const head_dim =
    explicit === undefined
      ? dividedHeads(config, headsName, hidden_size, heads)
      : config.integer("head_dim", family.head_dim ?? undefined);
  if (head_dim % 2 !== 0) {
    throw config.refuse(
      "head_dim",
      `the rotary embedding rotates pairs, so a head's width must be even, but it is ${head_dim}`,
    );
  }
  const rope = readRope(config, family.rope, { head_dim, max_position_embeddings });
  const ropeLayers = family.ropeLayers?.(config, layers) ?? new Array<boolean>(layers).fill(true);
  return {
    architecture: "llama",
    model_type,
    num_hidden_layers: layers,
    hidden_size,
    num_attention_heads: heads,
    num_key_value_heads: keyValueHeads(config, heads, family.num_key_value_heads),
    head_dim,
    intermediate_size: config.integer("intermediate_size", family.intermediate_size),
    vocab_size,
    max_position_embeddings,
    norm_eps: config.positive(family.eps.name, family.eps.fallback),
    norm: family.norm,
    mlp: "gated",
    activation: readActivation(config, "hidden_act", "silu"),
    tie_word_embeddings: config.boolean("tie_word_embeddings", family.tie_word_embeddings),
    learned_positions: false,
    ...(rotaryWidth(rope, head_dim) > 0 && { rope }),
    ...(ropeLayers.includes(false) && { rope_layers: ropeLayers }),
    qkv_bias: family.qkvBias(config),
    attn_out_bias: family.attnOutBias(config),
    mlp_bias: family.mlpBias(config),
    bias_switches: model_type === "llama",
    ...slidingWindow(family.windows(config, layers, ropeLayers), max_position_embeddings),
    attention_scale: new Array<number>(layers).fill(1 / Math.sqrt(head_dim)),
    ...readTokens(config, vocab_size, family.bos_token_id, family.eos_token_id),
    ...family.features?.(config),
  };
}

function keyValueHeads(config: ConfigFields, heads: number, absent: number | null): number {
  const name = "num_key_value_heads";
  const groups = config.integer(name, config.has(name) ? heads : (absent ?? heads));
  if (heads % groups === 0) return groups;
  throw config.refuse(name, `the ${heads} query heads do not share ${groups} key/value heads evenly`);
}
