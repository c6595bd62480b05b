/** `--check-finite`, on commands that run a model. */
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
  for (const [i, given] of prompts.entries()) {
    // A text that is longer than the context runs through windows, of which this is the first.
    const prompt = typeof given === "string" ? given : given.slice(0, most);
    const work = model.checkFinite(prompt, { signal, ...defined({ promptLength }) });
    const report = await progress.during("looking for values that are not finite", work);
    const error = nonFiniteError(report);
    if (error) throw error;
    const { sites, tokens, largest } = report;
    const which = prompts.length > 1 ? `prompt ${i + 1}: ` : "";
    note(
      `${which}all values are finite, at ${sites} sites and ${tokens.length} positions; the largest is ${largest.value.toPrecision(4)} at ${largest.site}, position ${largest.position}`,
    );
  }
}
