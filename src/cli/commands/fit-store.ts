/** Where a fit from two classes of sentences keeps what it measures, beside its result. */
import type { LabelledSentences } from "../../fit/classes.ts";
import { engineVersion } from "../../kernels/engine-version.gen.ts";
import type { CommandContext, LoadedModel } from "../context.ts";
import { FileStore } from "../response-store.ts";

export interface FittedInputs {
  /** Where the model is from. */
  readonly model: string;
  readonly out: string;
  /** The digest of its weights; none of a model at an address. */
  readonly weights: string | undefined;
  /** What else the measured values depend on. */
  readonly own: Readonly<Record<string, unknown>>;
}

/**
 * Opens OUT.partial, and says so where an earlier run left rows in it.
 * @param model that will measure: only once it is open is it known what the values come from
 * @param sentences as the model will read them
 * @throws SluiceError `usage` for a file that other inputs have left, `bad_file` for something else
 */
export async function openStore(
  { model: source, out, weights, own }: FittedInputs,
  { config, device }: LoadedModel,
  { positive, negative }: LabelledSentences,
  context: CommandContext,
): Promise<FileStore> {
  const store = await FileStore.open(out, {
    // Weights are known by their digest, since a folder may hold others tomorrow; at an address by that.
    model: weights ?? source,
    engine: engineVersion,
    // The rest of what the folder says of the model, and how weights are kept.
    config,
    // The one that runs, whatever was asked for: another gives other bits, and mixed with those that were kept, equal
    // contexts would not tie.
    device,
    // Ids and no texts, since a tokenizer may change too.
    positive,
    negative,
    ...own,
  });
  if (store.isBegun) context.note(`going on from ${store.path}`);
  return store;
}
