/** Configurations as files have them, and ways to read them, for tests. */
import { readConfig } from "../../src/architectures/read-config.ts";
import { refusal } from "../formats/refusal.ts";

export type Json = Record<string, unknown>;

export const gpt2: Json = { model_type: "gpt2", n_embd: 48, n_head: 4, n_layer: 3, vocab_size: 101, n_positions: 64 };
export const llama: Json = {
  model_type: "llama",
  hidden_size: 64,
  num_attention_heads: 8,
  num_key_value_heads: 2,
  num_hidden_layers: 3,
  intermediate_size: 172,
  vocab_size: 131,
  max_position_embeddings: 256,
};
export const mistral: Json = { ...llama, model_type: "mistral" };
export const qwen2: Json = { ...llama, model_type: "qwen2" };
export const llama3Scaling: Json = {
  rope_type: "llama3",
  factor: 8,
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 32,
};

/** A configuration, and the notices about its file. */
export function readNoting(json: unknown) {
  const notices: string[] = [];
  return { config: readConfig(json, "m/config.json", (line) => notices.push(line)), notices };
}

export const read = (json: unknown) => readConfig(json, "m/config.json");

/** A file of those fields and these is refused, naming the file and all of `parts`. */
export async function refused(base: Json, fields: Json, ...parts: string[]): Promise<void> {
  await refusal("bad_config", () => read({ ...base, ...fields }), "m/config.json: ", ...parts);
}
