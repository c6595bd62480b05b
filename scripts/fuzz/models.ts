/** Sound models: two that are published, and small ones of the same families whose weights are drawn. */
import { drawnModel } from "../../test/support/mlx-files.ts";
import { type Files, folderOf } from "./target.ts";

/** A GPT-2 of 0.3 MB. */
export const sort = folderOf("weights/gpt-nano-sort", (name) => /^(?:config\.json|model\.safetensors)$/.test(name));

/** A Llama of 1 MB. */
export const stories = folderOf("weights/stories260K", (name) => /config\.json$|model\.safetensors$/.test(name));

async function contentsOf(files: readonly File[]): Promise<Files> {
  const read = files.map(async (file) => [file.name, new Uint8Array(await file.arrayBuffer())] as const);
  return new Map(await Promise.all(read));
}

const usual = { bits: 4, group: 32 } as const;

export const smallLlama = await contentsOf(
  drawnModel({
    config: {
      ...{ model_type: "llama", hidden_size: 32, intermediate_size: 32, num_hidden_layers: 1 },
      ...{ num_attention_heads: 2, num_key_value_heads: 1, head_dim: 16, vocab_size: 24 },
      ...{ max_position_embeddings: 16, rms_norm_eps: 1e-5, tie_word_embeddings: false },
    },
    ...{ usual, scales: "F16", seed: 5 },
  }).floats,
);

export const smallGpt2 = await contentsOf(
  drawnModel({
    config: {
      ...{ model_type: "gpt2", n_embd: 32, n_layer: 1, n_head: 2, vocab_size: 24, n_positions: 16 },
      ...{ activation_function: "gelu_new", layer_norm_epsilon: 1e-5 },
    },
    ...{ usual, scales: "F16", seed: 6 },
  }).floats,
);

/** Two codings in one model. */
export const smallMlx = await contentsOf(
  drawnModel({
    config: {
      ...{ model_type: "llama", hidden_size: 64, intermediate_size: 96, num_hidden_layers: 1 },
      ...{ num_attention_heads: 2, num_key_value_heads: 1, head_dim: 32, vocab_size: 40 },
      ...{ max_position_embeddings: 16, rms_norm_eps: 1e-5, tie_word_embeddings: false },
    },
    modules: { "model.layers.0.mlp.up_proj": { bits: 8, group: 64 } },
    ...{ usual, scales: "F16", seed: 7 },
  }).quantised,
);
