/** What of a model decides which sites it has, and whether a bundle fits it. */
import type { ModelConfig } from "../model-config.ts";

/** What of a model decides whether a bundle fits it. */
export type ModelShape = Pick<
  ModelConfig,
  | "model_type"
  | "mlp"
  | "learned_positions"
  | "num_hidden_layers"
  | "hidden_size"
  | "num_attention_heads"
  | "num_key_value_heads"
  | "head_dim"
  | "intermediate_size"
  | "vocab_size"
>;
