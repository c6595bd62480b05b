/** Opens the file in which a fit from two classes of sentences keeps its measurements. */
import type { LabelledSentences } from "../../fit/classes.ts";
import { readClasses } from "../../fit/sentences.ts";
import { engineVersion } from "../../kernels/engine-version.gen.ts";
import type { CommandContext, LoadedModel } from "../context.ts";
import { FileStore } from "../response-store.ts";

export interface FittedInputs {
  /** The model's folder or address. */
  readonly model: string;
  readonly out: string;
  /** The digest of its weights; none for a model at an address. */
  readonly weights: string | undefined;
  /** Whatever else the measured values depend on. */
  readonly own: Readonly<Record<string, unknown>>;
}

/**
 * Opens OUT.partial, with a notice if an earlier run left rows in it.
 * @param model that will measure; it must be open, so that the origin of the values is known
 * @param sentences as the model will read them
 * @throws SluiceError `usage` for a file that belongs to other inputs, `bad_file` for something else
 */
export async function openStore(
  { model: source, out, weights, own }: FittedInputs,
  model: LoadedModel,
  sentences: LabelledSentences,
  context: CommandContext,
): Promise<FileStore> {
  const { config, device } = model;
  const { positive, negative } = readClasses(
    { ...model, tokenizerError: model.tokenizerError ?? null },
    sentences,
    "max",
  );
  const { chat, token } = sentences;
  const store = await FileStore.open(out, {
    // Weights are identified by their digest, since a folder's contents may change; or else by their address.
    model: weights ?? source,
    engine: engineVersion,
    // The rest of the folder's description of the model, and how weights are stored.
    config,
    // The adapter that runs, whatever was requested: another gives other bits. Mixed with the kept values, equal
    // contexts would then not tie.
    device,
    // Ids, not texts, since a tokenizer may change too.
    positive: positive.map(({ tokens }) => tokens),
    negative: negative.map(({ tokens }) => tokens),
    chat,
    token,
    // Where an instruction ends is up to the template, which may change too.
    ...(token === "last-instruction" && { ends: [...positive, ...negative].map(({ end }) => end) }),
    ...own,
  });
  if (store.isBegun) context.note(`continuing from ${store.path}`);
  return store;
}
