/** `--check-finite`, on commands that run a model. */
import { readSentences } from "../../fit/sentences.ts";
import type { Sentence, SentenceOptions } from "../../index.ts";
import type { FiniteCheck } from "../../model/check-finite.ts";
import { nonFiniteError } from "../../model/non-finite-error.ts";
import type { CommandContext, LoadedModel } from "../context.ts";
import { defined } from "../defined.ts";
import type { Document } from "../documents.ts";
import { flag } from "../options.ts";

export const checkFiniteOption = flag(
  "First look through every value inside the model for one that is not finite, and name its layer, site and position",
);

/**
 * Runs prompts once with every site captured, if that is wanted, and notes what the largest value is.
 * @throws SluiceError `non_finite` for the first operation whose output is not finite
 */
export async function checkFinite(
  isWanted: boolean,
  model: LoadedModel,
  prompts: readonly Document[],
  promptLength: number | undefined,
  { progress, signal, note }: Pick<CommandContext, "progress" | "signal" | "note">,
): Promise<void> {
  if (!isWanted) return;
  const most = model.config.max_position_embeddings;
  let greatest: (FiniteCheck & { readonly prompt: number }) | undefined;
  let positions = 0;
  for (const [i, given] of prompts.entries()) {
    // A text that is longer than the context runs through windows, of which this is the first.
    const prompt = typeof given === "string" ? given : given.slice(0, most);
    const work = model.checkFinite(prompt, { signal, ...defined({ promptLength }) });
    const report = await progress.during("looking for values that are not finite", work);
    const error = nonFiniteError(report);
    if (error) throw error;
    positions += report.tokens.length;
    if (!greatest || report.largest.value > greatest.largest.value) greatest = { ...report, prompt: i + 1 };
  }
  if (!greatest) return;
  const { sites, largest, prompt } = greatest;
  const which = prompts.length > 1 ? ` of prompt ${prompt}` : "";
  note(
    `all values are finite, at ${sites} sites and ${positions} positions; the largest is ${largest.value.toPrecision(4)} at ${largest.site}, position ${largest.position}${which}`,
  );
}

/** The same for the sentences of a fit. */
export async function checkFiniteSentences(
  isWanted: boolean,
  model: LoadedModel,
  sentences: readonly Sentence[],
  options: SentenceOptions,
  context: CommandContext,
): Promise<void> {
  if (!isWanted) return;
  const reader = { ...model, tokenizerError: model.tokenizerError ?? null };
  const read = readSentences(reader, sentences, options, "max", "Sentence").sentences;
  const prompts = read.map(({ tokens }) => tokens).filter((tokens) => tokens.length > 0);
  await checkFinite(true, model, prompts, undefined, context);
}
