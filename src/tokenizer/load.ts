/** Finds the tokenizer that belongs to a model. */
import type { FileSource } from "../formats/source.ts";
import type { ModelConfig } from "../models/config.ts";
import { loadChatRenderer } from "./chat-template.ts";
import { createGpt2Tokenizer, GPT2_VOCAB_SIZE } from "./gpt2.ts";
import { readJsonObject } from "./json.ts";
import type { Tokenizer } from "./tokenizer.ts";

/**
 * tokenizer.json if the model has one; else GPT-2's tokenizer for GPT-2 models whose vocabulary holds all of
 * it; else null, and the model is fed with ids. Each tokenizer's code is imported when it is needed.
 * @throws SluiceError `bad_file` if tokenizer.json or tokenizer_config.json is damaged
 */
export async function loadTokenizer(
  source: FileSource,
  model: ModelConfig,
  signal?: AbortSignal,
): Promise<Tokenizer | null> {
  const tokenizer = await readJsonObject(source, "tokenizer.json", signal);
  if (!tokenizer && !(model.architecture === "gpt2" && model.vocab_size >= GPT2_VOCAB_SIZE)) return null;
  const config = (await readJsonObject(source, "tokenizer_config.json", signal)) ?? {};
  const chat = await loadChatRenderer(source, config, signal);
  if (!tokenizer) return createGpt2Tokenizer({ addBos: config.add_bos_token === true, chat });
  const { createHuggingFaceTokenizer } = await import("./hugging-face.ts");
  return createHuggingFaceTokenizer({ tokenizer, config, chat }, model);
}
