/** How new tokens are chosen and when to stop: shared by the commands that generate. */
import { generateDefaults } from "../../defaults.ts";
import type { GenerateOptions, Overflow } from "../../index.ts";
import type { CommandContext } from "../context.ts";
import { defined } from "../defined.ts";
import { decimal, name, oneOf, optional, repeated, wholeNumber, withDefault } from "../options.ts";

export const samplingOptions = {
  temperature: withDefault(
    "T",
    "0 takes the likeliest token; 1 draws as the model predicts",
    decimal({ min: 0 }),
    generateDefaults.temperature,
  ),
  topK: optional("K", "Draw only from the K likeliest tokens; 0 for all", wholeNumber(0)),
  topP: optional(
    "P",
    "Draw from the likeliest tokens that together reach probability P; 0 takes the likeliest one",
    decimal({ min: 0, max: 1 }),
  ),
  minP: optional("P", "Draw from tokens at least P times as likely as the likeliest", decimal({ min: 0, max: 1 })),
  repetitionPenalty: optional(
    "R",
    "Make tokens that already occurred less likely; 1 changes nothing",
    decimal({ min: 0, aboveMin: true }),
  ),
  seed: optional("S", "Seed of the draws: equal seeds draw equal tokens. Without it every run differs", wholeNumber(0)),
  stop: repeated("TEXT", "Stop before this text", name),
  stopToken: repeated("ID", "Stop at this token, in addition to the model's own", wholeNumber(0)),
  context: optional(
    "N",
    "Tokens that the cache holds: the prompt and all new tokens but the last (default: as many as are needed)",
    wholeNumber(1),
  ),
  overflow: optional(
    "WHAT",
    "What to do if they do not fit. stop: end where the context ends (default); error: refuse before anything runs; " +
      "truncate: leave out the first tokens of the prompt",
    oneOf("stop", "error", "truncate"),
  ),
};

export interface SamplingChoice {
  readonly temperature: number;
  readonly topK: number | undefined;
  readonly topP: number | undefined;
  readonly minP: number | undefined;
  readonly repetitionPenalty: number | undefined;
  readonly seed: number | undefined;
  readonly stop: readonly string[];
  readonly stopToken: readonly number[];
  readonly overflow: Overflow | undefined;
}

/** The library's options for these values; notes options without effect. */
export function samplingFrom(choice: SamplingChoice, context: CommandContext): Omit<GenerateOptions, "context"> {
  const { temperature, topK, topP, minP, repetitionPenalty, seed, stop, stopToken, overflow } = choice;
  const idle = Object.entries({ "--top-k": topK, "--top-p": topP, "--min-p": minP })
    .filter(([, value]) => value !== undefined)
    .map(([option]) => option);
  if (temperature === 0 && idle.length > 0) {
    context.note(
      `at temperature 0 the likeliest token is taken: ${idle.join(" and ")} ${idle.length === 1 ? "has" : "have"} no effect`,
    );
  }
  return {
    temperature,
    ...defined({ topK, topP, minP, repetitionPenalty, seed, overflow }),
    stop,
    stopTokens: stopToken,
    signal: context.signal,
  };
}
