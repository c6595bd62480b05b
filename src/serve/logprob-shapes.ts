/** Log probabilities in OpenAI's two shapes. */
import type { GenerateResult, TextStream, Tokenizer, TokenLogprob, TokenLogprobs } from "../index.ts";

const utf8 = new TextEncoder();

/** As chats report a token. */
export function chatLogprob(tokenizer: Tokenizer | null, { top, ...own }: TokenLogprobs): object {
  const shaped = ({ token, text, logprob }: TokenLogprob) => {
    const bytes = tokenizer?.tokenBytes?.(token) ?? utf8.encode(text ?? "");
    return { token: text ?? "", logprob, bytes: [...bytes] };
  };
  return { ...shaped(own), top_logprobs: top.map(shaped) };
}

/** A token of a completion, with the place of its text; the first of a text has no log probability. */
export interface PlacedToken extends Omit<TokenLogprobs, "logprob" | "top"> {
  readonly logprob: number | null;
  readonly top: readonly TokenLogprob[] | null;
  readonly offset: number;
}

/** Where tokens begin in a text, in characters as Python counts them: OpenAI's interface is Python's. */
export class Offsets {
  readonly #stream: TextStream | undefined;
  #at: number;

  /** @param before tokens before them. @param at where their text begins */
  constructor(tokenizer: Tokenizer | null, before: readonly number[], at: number) {
    this.#stream = tokenizer?.stream({ context: before });
    this.#at = at;
  }

  /** The place of the next token. */
  next(token: number): number {
    const begin = this.#at;
    this.#at += characters(this.#stream?.push(token) ?? "");
    return begin;
  }
}

export function characters(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}

/** As completions report tokens. @param wanted how many of the likeliest; the token itself is always listed */
export function completionLogprobs(
  tokenizer: Tokenizer | null,
  tokens: readonly PlacedToken[],
  wanted: number,
): object {
  const nameOf = (token: number, text: string | null): string => {
    if (text === null) return String(token);
    // Parts of characters would all have the same name.
    const bytes = text.includes("\ufffd") ? tokenizer?.tokenBytes?.(token) : undefined;
    return bytes ? `bytes:${[...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, "0")}`).join("")}` : text;
  };
  const topOf = ({ token, text, logprob, top }: PlacedToken): object | null => {
    if (!top) return null;
    const found = new Map<string, number | null>();
    for (const each of [...top, { token, text, logprob }]) {
      const name = nameOf(each.token, each.text);
      if (!found.has(name)) found.set(name, each.logprob);
    }
    return Object.fromEntries(found);
  };
  return {
    tokens: tokens.map(({ token, text }) => nameOf(token, text)),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: wanted === 0 ? null : tokens.map(topOf),
    text_offset: tokens.map(({ offset }) => offset),
  };
}

/** The tokens of a text: all but the one that ended it. */
export function textLogprobs(
  { logprobs = [], finish, tokens }: Pick<GenerateResult, "logprobs" | "finish" | "tokens">,
  isStop: (token: number) => boolean,
): readonly TokenLogprobs[] {
  const ended = finish === "stop" && isStop(tokens.at(-1) ?? -1);
  return ended ? logprobs.slice(0, -1) : logprobs;
}
