/** Finds the tokenizer that belongs to a model. */
import { SluiceError } from "../errors.ts";
import { type FileSource, MAX_TEXT_BYTES, readText } from "../formats/source.ts";
import type { ModelConfig } from "../model-config.ts";
import { loadChatRenderer } from "./chat-template.ts";
import type { TokenizerFiles } from "./definition.ts";
import { type JsonObject, readJsonObject } from "./json.ts";
import type { Tokenizer } from "./tokenizer.ts";
import { classDefaults, tokenizerClass } from "./tokenizer-class.ts";

/** A tokenizer, or why there is none although the folder has its files. */
export interface TokenizerOrError {
  readonly tokenizer: Tokenizer | null;
  readonly error: SluiceError | null;
}

/**
 * Like {@link loadTokenizer}, for models that run without text if their tokenizer cannot be read.
 * @throws SluiceError `aborted`
 */
export async function tryTokenizer(
  source: FileSource,
  model: ModelConfig,
  signal?: AbortSignal,
): Promise<TokenizerOrError> {
  try {
    return { tokenizer: await loadTokenizer(source, model, signal), error: null };
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code === "aborted") throw error;
    return { tokenizer: null, error };
  }
}

/**
 * The tokenizer of a folder: tokenizer.json; else vocab.json with merges.txt, or tokenizer.model; else GPT-2's own for
 * GPT-2 models whose vocabulary has all of it; else null, and the model takes ids only. Code is imported when it is
 * needed, because most pages need one kind of tokenizer, if any.
 * @throws SluiceError `bad_file` if a file is damaged or needs what is not supported
 */
export async function loadTokenizer(
  source: FileSource,
  model: ModelConfig,
  signal?: AbortSignal,
): Promise<Tokenizer | null> {
  const optional = (path: string): Promise<JsonObject | null> => readJsonObject(source, path, signal);
  const config = (await optional("tokenizer_config.json")) ?? {};
  const className = tokenizerClass(config, model);
  const found = await findDefinition(source, model, config, className, signal);
  if (!found) return null;
  const files: TokenizerFiles = {
    ...found,
    config: { ...found.names, ...config },
    className,
    specialTokensMap: await optional("special_tokens_map.json"),
    addedTokens: await optional("added_tokens.json"),
  };
  const { createTokenizer } = await import("./definition.ts");
  return createTokenizer(files, model, (specials) => loadChatRenderer(source, { ...config, ...specials }, signal));
}

interface Found extends Pick<TokenizerFiles, "definition" | "model" | "addBos"> {
  /** Special tokens that the file itself names. */
  readonly names?: JsonObject;
}

async function findDefinition(
  source: FileSource,
  model: ModelConfig,
  config: JsonObject,
  className: string,
  signal: AbortSignal | undefined,
): Promise<Found | undefined> {
  const definition = await readJsonObject(source, "tokenizer.json", signal);
  if (definition) return { definition, addBos: false };
  const has = (path: string): Promise<boolean> => source.exists(path, signal);
  const isLlama = className === "LlamaTokenizer" || className === "CodeLlamaTokenizer";
  const hasVocab = await has("vocab.json");
  const hasPieces = await has("tokenizer.model");
  if (hasPieces && (isLlama || !hasVocab)) return fromSentencePiece(source, config, className, isLlama, signal);
  if (hasVocab) return fromVocabMerges(source, className, signal);
  if (await has("merges.txt")) throw incomplete(source, "merges.txt", "vocab.json");
  if (model.architecture !== "gpt2") return undefined;
  const { GPT2_VOCAB_SIZE, gpt2Definition, gpt2Model } = await import("./gpt2.ts");
  if (model.vocab_size < GPT2_VOCAB_SIZE) return undefined;
  return { definition: gpt2Definition, model: gpt2Model(), addBos: false };
}

async function fromVocabMerges(source: FileSource, className: string, signal?: AbortSignal): Promise<Found> {
  if (!(await source.exists("merges.txt", signal))) throw incomplete(source, "vocab.json", "merges.txt");
  const vocab = (await readJsonObject(source, "vocab.json", signal)) ?? {};
  const merges = await readText(source, "merges.txt", signal);
  const { vocabMergesDefinition } = await import("./vocab-merges.ts");
  return { definition: vocabMergesDefinition(vocab, merges, className === "Qwen2Tokenizer"), addBos: false };
}

function incomplete(source: FileSource, there: string, missing: string): SluiceError {
  return new SluiceError("bad_file", `${source.describe(there)}: the folder has no ${missing}, which is also needed`, {
    hint: `Add ${missing} or tokenizer.json, or give the prompt as token ids instead of text.`,
  });
}

async function fromSentencePiece(
  source: FileSource,
  config: JsonObject,
  className: string,
  llama: boolean,
  signal: AbortSignal | undefined,
): Promise<Found> {
  const bytes = await source.readAll("tokenizer.model", MAX_TEXT_BYTES, signal);
  const [{ readSentencePiece }, { sentencePieceDefinition }] = await Promise.all([
    import("./sentencepiece.ts"),
    import("./sentencepiece-definition.ts"),
  ]);
  const pieces = readSentencePiece(bytes);
  const legacy = typeof config.legacy === "boolean" ? config.legacy : undefined;
  const { bosPiece, eosPiece, unknownPiece } = pieces;
  return {
    definition: sentencePieceDefinition(pieces, { llama, legacy }),
    addBos: classDefaults(className).addBos === true,
    names: llama
      ? {}
      : { ...(bosPiece && { bos_token: bosPiece }), ...(eosPiece && { eos_token: eosPiece }), unk_token: unknownPiece },
  };
}
