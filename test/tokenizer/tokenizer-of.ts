/** Tokenizers made from files in memory. */
import { openFiles } from "../../src/formats/file-list.ts";
import type { FileSource } from "../../src/formats/source.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { loadTokenizer, type TokenizerOrError, tryTokenizer } from "../../src/tokenizer/load.ts";
import type { Tokenizer } from "../../src/tokenizer/tokenizer.ts";

/** A model of the smallest size; tokenizers look at little more than the fields that tests set. */
export function modelConfig(fields: Partial<ModelConfig>): ModelConfig {
  return {
    architecture: "llama",
    model_type: "llama",
    num_hidden_layers: 1,
    hidden_size: 4,
    num_attention_heads: 1,
    num_key_value_heads: 1,
    head_dim: 4,
    intermediate_size: 4,
    vocab_size: 512,
    max_position_embeddings: 16,
    norm_eps: 1e-5,
    norm: "rms",
    mlp: "gated",
    activation: "silu",
    tie_word_embeddings: true,
    learned_positions: false,
    qkv_bias: false,
    attn_out_bias: false,
    mlp_bias: false,
    bias_switches: true,
    attention_scale: [0.5],
    eos_token_ids: [],
    ...fields,
  };
}

/** @param files by name; text and bytes are written as they are, anything else as JSON */
export function tokenizerOf(
  files: Readonly<Record<string, unknown>>,
  fields: Partial<ModelConfig> = {},
): Promise<Tokenizer | null> {
  return loadTokenizer(opened(files), modelConfig(fields));
}

/** As tokenizerOf, with the error of what cannot be read. */
export function triedTokenizer(files: Readonly<Record<string, unknown>>): Promise<TokenizerOrError> {
  return tryTokenizer(opened(files), modelConfig({}));
}

function opened(files: Readonly<Record<string, unknown>>): FileSource {
  const listed = Object.entries({ "config.json": {}, ...files }).map(
    ([name, value]) => new File([isContent(value) ? value : JSON.stringify(value)], name),
  );
  return openFiles(listed);
}

function isContent(value: unknown): value is string | Uint8Array<ArrayBuffer> {
  return typeof value === "string" || value instanceof Uint8Array;
}

/** As tokenizerOf, for files that make a tokenizer. */
export async function loaded(
  files: Readonly<Record<string, unknown>>,
  fields: Partial<ModelConfig> = {},
): Promise<Tokenizer> {
  const tokenizer = await tokenizerOf(files, fields);
  if (!tokenizer) throw new Error("expected a tokenizer");
  return tokenizer;
}

/** What the stream shows of these ids, joined. */
export function streamed(tokenizer: Tokenizer, ids: readonly number[], context: readonly number[] = []): string {
  const stream = tokenizer.stream({ context });
  return ids.map((id) => stream.push(id)).join("") + stream.end();
}
