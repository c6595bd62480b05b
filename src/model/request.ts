/** Turns a caller's request for a generation into ids, a context that holds them, and stop conditions. */

import type { TokenIds } from "../arguments/lists.ts";
import { generateDefaults } from "../defaults.ts";
import { SluiceError } from "../errors.ts";
import type { ModelConfig } from "../model-config.ts";
import { settleSampling } from "../runtime/sampling.ts";
import { show } from "../show.ts";
import { encodeWithin } from "../tokenizer/encode-within.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { GenerationRequest } from "./generation.ts";
import type { ModelParts } from "./model-parts.ts";
import type { GenerateOptions } from "./options.ts";

/** A prompt from a caller. */
export type PromptInput = string | TokenIds;

/** A prompt whose ids are checked to be whole numbers in an array. */
export type ReadPrompt = string | readonly number[];

/** What reads a prompt. */
export interface PromptReader {
  readonly tokenizer: Tokenizer | null;
  /** The reason why the folder's tokenizer could not be read. */
  readonly tokenizerError?: SluiceError | null;
  readonly onNotice?: (message: string) => void;
}

/** What a request is checked against. */
export interface RequestBounds extends PromptReader {
  readonly config: ModelConfig;
  /** From generation_config.json; null if it names none. */
  readonly eosTokenIds: readonly number[] | null;
  /** Positions of the cache; undefined: as many as the prompts need, at most the model's context. */
  readonly context: number | undefined;
}

/** What requests to a model are checked against. */
export function boundsOf(parts: ModelParts, context: number | undefined): RequestBounds {
  const { config, tokenizer, tokenizerError, generationConfig, onNotice } = parts;
  return { config, tokenizer, tokenizerError, onNotice, eosTokenIds: generationConfig.eos_token_ids, context };
}

export interface SettledRequest {
  readonly request: GenerationRequest;
  /** Positions that the cache holds, or must hold. */
  readonly context: number;
}

/** Numbers the sequences that continue prompts, from `first` on: `samples` adjacent ones per prompt. */
export function numberSequences(
  prompts: readonly ReadPrompt[],
  samples: number = generateDefaults.samples,
  first = 0,
): readonly { readonly sequence: number; readonly prompt: ReadPrompt }[] {
  const all = prompts.flatMap((prompt) => Array.from({ length: samples }, () => prompt));
  return all.map((prompt, i) => ({ sequence: first + i, prompt }));
}

/**
 * @param prompts with the sequence that each continues
 * @throws SluiceError `usage` for options out of range, `bad_tokens` for text without a tokenizer, `context_overflow`
 */
export function settleRequest(
  bounds: RequestBounds,
  prompts: readonly { readonly sequence: number; readonly prompt: ReadPrompt }[],
  options: GenerateOptions,
): SettledRequest {
  const { config, tokenizer, eosTokenIds } = bounds;
  const mostTokens = options.overflow === "truncate" ? undefined : (bounds.context ?? config.max_position_embeddings);
  // The samples of a prompt share its ids.
  const ids = new Map<ReadPrompt, readonly number[]>();
  for (const { prompt } of prompts) if (!ids.has(prompt)) ids.set(prompt, encodePrompt(bounds, prompt, mostTokens));
  const encoded = prompts.map(({ sequence, prompt }) => ({ sequence, tokens: ids.get(prompt) ?? [] }));
  const { maxNewTokens, overflow = generateDefaults.overflow, seeds, signal } = options;
  if (seeds && seeds.length !== prompts.length) {
    throw new SluiceError(
      "usage",
      `seeds is of length ${seeds.length}, and the list of prompts of length ${prompts.length}`,
      {
        hint: "Give one seed per continuation, or a single one as seed.",
      },
    );
  }
  for (const id of options.stopTokens ?? []) {
    if (id < config.vocab_size) continue;
    throw new SluiceError("bad_tokens", `Stop token ${id} is outside the vocabulary (0 to ${config.vocab_size - 1})`, {
      field: "stopTokens",
    });
  }
  const { topLogprobs, ...settled } = settleSampling(options);
  const sampling = {
    ...settled,
    ...(topLogprobs !== undefined && { topLogprobs: Math.min(topLogprobs, config.vocab_size) }),
  };
  for (const id of sampling.logitBias?.keys() ?? []) {
    if (id < config.vocab_size) continue;
    throw new SluiceError(
      "bad_tokens",
      `logitBias: token ${id} is outside the vocabulary (0 to ${config.vocab_size - 1})`,
      { field: "logitBias" },
    );
  }
  const promptLength = checkPromptLength(options.promptLength, encoded);
  const longest = Math.max(...encoded.map(({ tokens }) => tokens.length));
  // The last new token is never fed back, so it needs no place in the cache.
  const wanted = longest + (maxNewTokens ?? generateDefaults.maxNewTokens) - 1;
  const context = bounds.context ?? Math.min(wanted, config.max_position_embeddings);
  if (overflow !== "truncate" && longest > context) {
    throw promptTooLong(`${longest}`, context);
  }
  if (overflow === "error" && wanted > context) {
    throw new SluiceError(
      "context_overflow",
      `A prompt of ${longest} tokens and ${wanted - longest + 1} new ones need ${wanted} positions; the context holds ${context}`,
      { hint: "Use fewer new tokens or a larger context." },
    );
  }
  const kept = context + 1 - (maxNewTokens ?? Math.min(generateDefaults.maxNewTokens, Math.ceil(context / 2)));
  const truncated = overflow === "truncate" ? encoded.map((each) => lastTokens(each, kept)) : encoded;

  // For ids without text, only generation_config.json or the caller names stop tokens.
  if ((options.samples ?? 1) > 1 && sampling.temperature === 0) {
    throw new SluiceError(
      "usage",
      `Nothing is drawn, so all ${options.samples} samples of a prompt would be the same`,
      {
        hint: "Use one sample, or a temperature above 0.",
      },
    );
  }
  const isText = prompts.some(({ prompt }) => typeof prompt === "string");
  const stop = options.stop ?? [];
  if (stop.length > 0 && bounds.tokenizerError) throw bounds.tokenizerError;
  if (stop.length > 0 && !tokenizer) throw new SluiceError("usage", "Stop texts need a tokenizer; use stop tokens");
  return {
    context,
    request: {
      prompts: truncated.map((prompt, i) => ({ ...prompt, seed: seeds?.[i] ?? laterSeed(sampling.seed, i) })),
      tokenizer,
      tokenizerError: bounds.tokenizerError,
      responseFormat: options.responseFormat,
      sampling,
      maxNewTokens: maxNewTokens ?? generateDefaults.maxNewTokens,
      promptLength: promptLength && promptLengthLeft(promptLength, encoded, truncated),
      stop,
      stopTokens: new Set([...(eosTokenIds ?? (isText ? config.eos_token_ids : [])), ...(options.stopTokens ?? [])]),
      signal,
    },
  };
}

function promptTooLong(tokens: string, context: number): SluiceError {
  return new SluiceError("context_overflow", `The prompt has ${tokens} tokens and the context holds ${context}`, {
    hint: "Shorten the prompt, use a larger context, or let the prompt be truncated.",
  });
}

/** The seed `count` places after another; 0 follows the last. */
function laterSeed(seed: number, count: number): number {
  return seed <= Number.MAX_SAFE_INTEGER - count ? seed + count : seed - Number.MAX_SAFE_INTEGER - 1 + count;
}

/** @throws SluiceError `usage` unless 1 ≤ P ≤ the tokens of every prompt */
export function checkPromptLength(
  promptLength: number | undefined,
  prompts: readonly { readonly tokens: readonly number[] }[],
): number | undefined {
  if (promptLength === undefined) return undefined;
  const most = Math.min(...prompts.map(({ tokens }) => tokens.length));
  if (Number.isSafeInteger(promptLength) && promptLength >= 1 && promptLength <= most) return promptLength;
  throw new SluiceError("usage", `The prompt length is ${promptLength}; it must be a whole number from 1 to ${most}`, {
    hint: "It is the number of given tokens that count as the prompt.",
  });
}

/**
 * P after truncation: the remaining tokens keep their roles; 0 if all of [0, P) was removed.
 * @throws SluiceError `usage` if this number differs between prompts, since a call takes one
 */
function promptLengthLeft(
  promptLength: number,
  given: readonly { readonly tokens: readonly number[] }[],
  kept: readonly { readonly tokens: readonly number[] }[],
): number {
  const left = given.map(({ tokens }, i) =>
    Math.max(0, promptLength - (tokens.length - (kept[i]?.tokens.length ?? tokens.length))),
  );
  const [first = promptLength] = left;
  if (left.every((length) => length === first)) return first;
  throw new SluiceError(
    "usage",
    `Of the first ${promptLength} tokens, truncation leaves the prompts ${left.join(", ")}, but one prompt length serves all`,
    { hint: "Give prompts of one length, one prompt at a time, or a context that holds them." },
  );
}

/**
 * Ids of a prompt: text through the tokenizer, with the special tokens it adds; ids as they are.
 * @param most tokens that there may be; default: any number. A text that has many more is not read to its end.
 * @throws SluiceError `bad_tokens` for text without a tokenizer and for text without any known token, `usage` for an
 *   empty prompt, `context_overflow`, and why the tokenizer could not be read
 */
export function encodePrompt(reader: PromptReader, prompt: ReadPrompt, most?: number): readonly number[] {
  const tokens = typeof prompt === "string" ? encodeText(reader, prompt, most) : prompt;
  if (tokens.length === 0) throw new SluiceError("usage", "The prompt is empty: there is nothing to continue");
  return tokens;
}

/** @throws SluiceError `bad_tokens` if the model has none, or why it could not be read */
export function requireTokenizer({ tokenizer, tokenizerError }: PromptReader): Tokenizer {
  if (tokenizerError) throw tokenizerError;
  if (tokenizer) return tokenizer;
  throw new SluiceError("bad_tokens", "This model's folder has no tokenizer, so it cannot read text", {
    hint: "Give token ids, or add tokenizer.json.",
    field: "tokens",
  });
}

/** Ids of a text, with the special tokens that the tokenizer adds. @throws SluiceError `bad_tokens`, `context_overflow` */
export function encodeText(reader: PromptReader, text: string, most = Number.POSITIVE_INFINITY): readonly number[] {
  const { onNotice } = reader;
  const tokens = encodeWithin(requireTokenizer(reader), text, most, onNotice && { onNotice });
  if (!tokens) throw promptTooLong(`more than ${most}`, most);
  if (tokens.length === 0 && text !== "") {
    throw new SluiceError("bad_tokens", `The tokenizer has no token for anything in ${show(text)}`, {
      hint: "The vocabulary lacks these characters and has no unknown token: change the text, or give token ids.",
    });
  }
  return tokens;
}

function lastTokens<Encoded extends { readonly tokens: readonly number[] }>(encoded: Encoded, count: number): Encoded {
  return { ...encoded, tokens: encoded.tokens.slice(-Math.max(1, count)) };
}
