/** The ids of the tokens with a meaning of their own: those that begin and end a text, fill it up, and so on. */
import type { Metadata } from "./metadata.ts";

/** What `tokenizer.ggml.token_type` says of each token. */
export const TOKEN_TYPES = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Kinds of tokenizers by `tokenizer.ggml.model`; files without one have no vocabulary. */
export const NO_TOKENIZER: readonly string[] = ["none", "no_vocab"];

/** The keys of the ids, by the names that tokenizer_config.json has for the tokens. */
const KEYS = {
  bos_token: "bos_token_id",
  eos_token: "eos_token_id",
  unk_token: "unknown_token_id",
  sep_token: "seperator_token_id",
  pad_token: "padding_token_id",
  mask_token: "mask_token_id",
} as const;

/** What llama.cpp takes for SentencePiece files that do not say. */
const SENTENCEPIECE_DEFAULTS: Partial<Record<Role, number>> = { bos_token: 1, eos_token: 2, unk_token: 0 };

export type Role = keyof typeof KEYS;

/** Tokens that end a turn or a text in the templates of published models, as llama.cpp recognises them by name. */
const ENDS: ReadonlySet<string> = new Set([
  "<|eot_id|>",
  "<|eom_id|>",
  "<|im_end|>",
  "<|end|>",
  "<|end_of_text|>",
  "<|endoftext|>",
  "<end_of_turn>",
  "<EOT>",
  "_<EOT>",
  "<｜end▁of▁sentence｜>",
]);

/** Whether the file has a tokenizer, and so says what its special tokens are. */
export function hasTokenizer(metadata: Metadata): boolean {
  const model = metadata.text("tokenizer.ggml.model");
  return model !== undefined && !NO_TOKENIZER.includes(model);
}

/** Ids outside the vocabulary count as absent, as in llama.cpp. */
export function specialIds(metadata: Metadata): ReadonlyMap<Role, number> {
  const count = metadata.texts("tokenizer.ggml.tokens")?.length ?? 0;
  const isPieces = metadata.text("tokenizer.ggml.model") === "llama";
  const ids = new Map<Role, number>();
  for (const [role, key] of Object.entries(KEYS) as [Role, string][]) {
    const stated = metadata.whole(`tokenizer.ggml.${key}`);
    const id = stated ?? (isPieces ? SENTENCEPIECE_DEFAULTS[role] : undefined);
    if (id !== undefined && id < count) ids.set(role, id);
  }
  return ids;
}

/** The ids that end a text, first the one that the file calls the end of a text. */
export function endIds(metadata: Metadata): readonly number[] {
  const tokens = metadata.texts("tokenizer.ggml.tokens");
  const types = metadata.numbers("tokenizer.ggml.token_type");
  const ids = new Set<number>();
  const eos = specialIds(metadata).get("eos_token");
  if (eos !== undefined) ids.add(eos);
  for (const key of ["eot_token_id", "eom_token_id"]) {
    const id = metadata.whole(`tokenizer.ggml.${key}`);
    if (id !== undefined && id < (tokens?.length ?? 0)) ids.add(id);
  }
  for (let id = 0; id < Math.min(tokens?.length ?? 0, types?.length ?? 0); id++) {
    if (types?.[id] === TOKEN_TYPES.control && ENDS.has(tokens?.at(id) ?? "")) ids.add(id);
  }
  return [...ids];
}
