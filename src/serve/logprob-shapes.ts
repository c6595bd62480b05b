/** Log probabilities in OpenAI's two shapes. */
import type { GenerateResult, Tokenizer, TokenLogprob, TokenLogprobs } from "../index.ts";

const utf8 = new TextEncoder();

/** As chats report a token. */
export function chatLogprob(tokenizer: Tokenizer | null, { top, ...own }: TokenLogprobs): object {
  const shaped = ({ token, text, logprob }: TokenLogprob) => {
    const bytes = tokenizer?.tokenBytes?.(token) ?? utf8.encode(text ?? "");
    return { token: text ?? "", logprob, bytes: [...bytes] };
  };
  return { ...shaped(own), top_logprobs: top.map(shaped) };
}

/** As completions report tokens. @param offset of the first in the text of its choice */
export function completionLogprobs(tokens: readonly TokenLogprobs[], wanted: number, offset: number): object {
  let at = offset;
  const text_offset = tokens.map(({ text }) => {
    const begin = at;
    at += (text ?? "").length;
    return begin;
  });
  return {
    tokens: tokens.map(({ text, token }) => text ?? String(token)),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs:
      wanted === 0
        ? null
        : tokens.map(({ top }) =>
            Object.fromEntries(top.map((each) => [each.text ?? String(each.token), each.logprob])),
          ),
    text_offset,
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
