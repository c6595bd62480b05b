/** Which of the sites a model has, and how wide they are. */
import type { ModelConfig } from "../models/config.ts";
import type { AffineSite, NeuronSite } from "./stage.ts";

/** What of a model decides whether a bundle fits it. */
export type ModelShape = Pick<
  ModelConfig,
  | "architecture"
  | "model_type"
  | "num_hidden_layers"
  | "hidden_size"
  | "num_attention_heads"
  | "num_key_value_heads"
  | "head_dim"
  | "intermediate_size"
  | "vocab_size"
>;

/** Width of a site's rows, or null where the model has no such site. */
export function siteWidth(config: ModelShape, site: NeuronSite | AffineSite): number | null {
  const gpt2 = config.architecture === "gpt2";
  switch (site) {
    case "attn_z":
      return config.num_attention_heads * config.head_dim;
    case "mlp_pre":
      return gpt2 ? config.intermediate_size : null;
    case "gate_pre":
    case "up":
      return gpt2 ? null : config.intermediate_size;
    case "mlp_post":
      return config.intermediate_size;
    default:
      return config.hidden_size;
  }
}
