/** Sentences for fits: token ids, texts, or conversations through the model's chat template; and which of their tokens is read. */

import { needed } from "../arguments/fields.ts";
import { isList, isOptions, listOf, tokens } from "../arguments/lists.ts";
import { either, type Rule, test } from "../arguments/rule.ts";
import { flag, text, whole } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import { encodeText, type PromptReader, requireTokenizer } from "../model/request.ts";
import { chatMessages } from "../tokenizer/checked.ts";
import type { ChatMessage, Tokenizer } from "../tokenizer/tokenizer.ts";
import { instructionEnd } from "./instruction.ts";
import { counted, isMeanOfLast, type PooledSentence, type Pooling } from "./pool.ts";

/**
 * Token ids, which are taken as they are; a text, which gets the special tokens that the tokenizer adds; with `chat` a
 * conversation: its messages, or a text as the user's only message.
 */
export type Sentence = readonly number[] | string | readonly ChatMessage[];

/**
 * What of a sentence a fit reads: the token at an index, from 0, or from the end below 0 (−1 is the last); `mean:k`, the
 * mean over the last k tokens; `last-instruction`, the last token of the user's last message, before the template goes on.
 */
export type TokenChoice = number | `mean:${number}` | "last-instruction";

/** How fits read sentences. */
export interface SentenceOptions {
  /**
   * Sentences are conversations, laid out by the model's chat template. If the last message is not the assistant's, the
   * assistant's turn is opened, so that the last token is the one from which the answer begins.
   */
  readonly chat?: boolean;
  /** What of a sentence is read; default: what the fit reads by its definition. */
  readonly token?: TokenChoice;
  /** Takes only the first that many tokens of each sentence, the template's included. */
  readonly maxTokens?: number;
}

const messages = {
  ...(chatMessages as unknown as Rule<readonly ChatMessage[]>),
  suits: (value: unknown) => isList(value) && value.length > 0 && isOptions(value[0]),
};

const tokenChoice = test<TokenChoice>('an index, "mean:k" with k from 1, or "last-instruction"', (value) =>
  Number.isSafeInteger(value) || (typeof value === "string" && isTokenName(value)));

/** The rule of a list of sentences. */
export const sentences = needed(listOf(either(either(text, messages), tokens)));

/** The rules of {@link SentenceOptions}. */
export const sentenceFields = { chat: flag, token: tokenChoice, maxTokens: whole({ least: 1 }) };

/** `mean:3` or `last-instruction`. */
export function isTokenName(value: string): value is Exclude<TokenChoice, number> {
  return value === "last-instruction" || isMeanOfLast(value);
}

/** Both classes, ready to be measured. */
export interface ReadClasses {
  readonly positive: readonly PooledSentence[];
  readonly negative: readonly PooledSentence[];
  readonly pooling: Pooling;
}

/** Sentences of one kind, ready to be measured. */
export interface ReadSentences {
  readonly sentences: readonly PooledSentence[];
  readonly pooling: Pooling;
}

/**
 * Both classes as ids, with what is to be measured of each sentence.
 * @param otherwise how they are pooled if no token is chosen
 * @throws SluiceError as {@link readSentences}
 */
export function readClasses(
  model: PromptReader,
  { positive, negative, ...options }: SentenceOptions & Readonly<Record<"positive" | "negative", readonly Sentence[]>>,
  otherwise: Pooling,
): ReadClasses {
  const read = (given: readonly Sentence[], name: string) => readSentences(model, given, options, otherwise, name);
  const { sentences, pooling } = read(positive, "Positive sentence");
  return { positive: sentences, negative: read(negative, "Negative sentence").sentences, pooling };
}

/**
 * Sentences as ids, with what is to be measured of each.
 * @param otherwise how they are pooled if no token is chosen
 * @param name of a sentence in messages, such as `Positive sentence`
 * @throws SluiceError `usage` for a sentence that lacks the token, ids or a missing template with `chat`, messages or
 *   `last-instruction` without; `bad_tokens` for text without a tokenizer
 */
export function readSentences(
  model: PromptReader,
  given: readonly Sentence[],
  { chat = false, token, maxTokens }: SentenceOptions,
  otherwise: Pooling,
  name: string,
): ReadSentences {
  if (token === "last-instruction" && !chat) {
    throw new SluiceError("usage", "The token last-instruction is one of conversations", {
      hint: "Give the sentences as conversations, with chat, or read another token.",
      field: "chat",
    });
  }
  const sentences = given.map((sentence, i) => {
    const where = `${name} ${i + 1}`;
    const { ids, instruction } = chat
      ? layOut(requireTokenizer(model), conversationOf(sentence, where), token, where)
      : { ids: idsOf(model, sentence, where), instruction: undefined };
    const cut = maxTokens === undefined ? ids : ids.slice(0, maxTokens);
    return { tokens: cut, end: endOf(cut.length, token, instruction, where) };
  });
  return { sentences, pooling: poolingOf(token, otherwise) };
}

/** How a bundle's provenance names what was read. */
export function describeReading(
  { chat, token }: SentenceOptions,
  otherwise: string,
): Readonly<Record<string, unknown>> {
  return {
    pooling: token === undefined ? otherwise : inWords(token),
    ...(token !== undefined && { token }),
    ...(chat && { chat }),
  };
}

function inWords(token: TokenChoice): string {
  if (token === -1) return "last token";
  if (token === "last-instruction") return "last token of the instruction";
  return typeof token === "number" ? `token ${token}` : `mean of the last ${token.slice("mean:".length)} tokens`;
}

function poolingOf(token: TokenChoice | undefined, otherwise: Pooling): Pooling {
  if (token === undefined) return otherwise;
  return typeof token === "string" && token !== "last-instruction" ? token : "last";
}

/** How many of a sentence's first tokens are run: up to the one that is read. */
function endOf(length: number, token: TokenChoice | undefined, instruction: number | undefined, where: string): number {
  // What pools refuses empty sentences.
  if (token === undefined || length === 0) return length;
  if (typeof token === "number") {
    const end = token < 0 ? length + token + 1 : token + 1;
    if (end >= 1 && end <= length) return end;
  } else if (token === "last-instruction") {
    if (instruction !== undefined && instruction <= length) return instruction;
    throw lacks(
      `${where} is cut to ${counted(length)}, before its instruction ends`,
      "Take more tokens of each sentence.",
      "maxTokens",
    );
  } else if (Number(token.slice("mean:".length)) <= length) return length;
  throw lacks(
    `${where} has ${counted(length)}, so there is no ${typeof token === "number" ? `token ${token}` : token} in it`,
    "Read a token that every sentence has, or leave this sentence out.",
  );
}

function lacks(message: string, hint: string, field = "token"): SluiceError {
  return new SluiceError("usage", message, { hint, field });
}

function idsOf(model: PromptReader, sentence: Sentence, where: string): readonly number[] {
  if (typeof sentence === "string") return encodeText(model, sentence);
  if (isIds(sentence)) return sentence;
  throw new SluiceError("usage", `${where} is a conversation`, {
    hint: "With chat, conversations go through the model's template.",
    field: "chat",
  });
}

function conversationOf(sentence: Sentence, where: string): readonly ChatMessage[] {
  if (typeof sentence === "string") return [{ role: "user", content: sentence }];
  if (!isIds(sentence)) return sentence;
  throw new SluiceError("usage", `${where} is a list of token ids, which a chat template cannot lay out`, {
    hint: "Give texts or messages, or leave chat out.",
    field: "chat",
  });
}

function isIds(sentence: readonly number[] | readonly ChatMessage[]): sentence is readonly number[] {
  return typeof sentence[0] !== "object";
}

/** Roles under which templates let the model itself speak. */
const ANSWERING = ["assistant", "model"];

/** A conversation as ids, with the number of tokens up to the end of its last instruction, if that is read. */
function layOut(
  tokenizer: Tokenizer,
  conversation: readonly ChatMessage[],
  token: TokenChoice | undefined,
  where: string,
): { readonly ids: readonly number[]; readonly instruction: number | undefined } {
  const addGenerationPrompt = !ANSWERING.includes(conversation.at(-1)?.role ?? "");
  const encode = (laid: readonly ChatMessage[]): readonly number[] => {
    return tokenizer.encode(tokenizer.applyChatTemplate(laid, { addGenerationPrompt }), { addSpecialTokens: false });
  };
  try {
    const ids = encode(conversation);
    return { ids, instruction: token === "last-instruction" ? instructionEnd(conversation, ids, encode) : undefined };
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const { code, message, hint, field } = error;
    // The message has the hint on a line of its own.
    const sentence = hint === undefined ? message : message.slice(0, message.lastIndexOf("\n"));
    throw new SluiceError(code, `${where}: ${sentence}`, {
      ...(hint !== undefined && { hint }),
      ...(field !== undefined && { field }),
      cause: error,
    });
  }
}
