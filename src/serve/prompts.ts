/** The prompts of a request to `/v1/completions`: read once each, however many choices they have, and given back if wanted. */
import type { Tokenizer, TokenLogprobs } from "../index.ts";
import { tokenText } from "../model/token-logprobs.ts";
import type { CompletionFields } from "./fields.ts";
import { Offsets, type PlacedToken } from "./logprob-shapes.ts";
import type { Service } from "./service.ts";

export interface Prompt {
  readonly tokens: readonly number[];
  /** What its choices begin with: the prompt, if it is to be given back. */
  readonly echoed: string;
}

/** A text, a list of ids, or a list of these, as a list. */
export function listOfPrompts(prompt: CompletionFields["prompt"]): readonly (string | readonly number[])[] {
  const isList = typeof prompt !== "string" && (typeof prompt[0] === "string" || Array.isArray(prompt[0]));
  return isList ? (prompt as readonly (string | readonly number[])[]) : [prompt as string | readonly number[]];
}

/** @throws Problem 400 for prompts that cannot be continued */
export function readPrompts({ prompt, echo = false }: CompletionFields, service: Service): readonly Prompt[] {
  const { tokenizer } = service.engine.model;
  return listOfPrompts(prompt).map((each) => {
    const tokens = service.promptTokens(each);
    if (!echo) return { tokens, echoed: "" };
    return { tokens, echoed: typeof each === "string" ? each : textOf(tokenizer, tokens) };
  });
}

/** The text of ids; without a tokenizer the ids, as completions have them then. */
export function textOf(tokenizer: Tokenizer | null, tokens: readonly number[]): string {
  return tokenizer ? tokenizer.decode(tokens) : tokens.map((token) => `${token} `).join("");
}

/** A prompt's tokens as completions report them. @param scores of all but the first, which nothing predicts */
export function placedPrompt(
  tokenizer: Tokenizer | null,
  { tokens }: Prompt,
  scores: readonly TokenLogprobs[],
): readonly PlacedToken[] {
  const offsets = new Offsets(tokenizer, [], 0);
  return tokens.map((token, i): PlacedToken => {
    const offset = offsets.next(token);
    const score = scores[i - 1];
    return score
      ? { ...score, offset }
      : { token, text: tokenText(tokenizer, token), logprob: null, top: null, offset };
  });
}
