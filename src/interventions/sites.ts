/** Which of the sites a model has, and how wide they are. */
import type { ModelConfig } from "../models/config.ts";
import type { AffineSite, NeuronSite } from "./stage.ts";

/** Width of a site's rows, or null where the model has no such site. */
export function siteWidth(config: ModelConfig, site: NeuronSite | AffineSite): number | null {
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
