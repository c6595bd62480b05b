/** Texts whose tokens a model predicts: the options that say which, and their ids. */
import { SluiceError } from "../../errors.ts";
import type { CommandContext, LoadedModel } from "../context.ts";
import type { Document } from "../documents.ts";
import { flag, input, name, needing, optional, wholeNumber } from "../options.ts";
import { tokenizerOf } from "./model.ts";

/** For commands that predict texts beside something else. */
export const predictedTexts = {
  texts: input(optional("FILE", "Texts to predict: a text, or .jsonl with text or tokens per line", name)),
  prependBos: needing(flag("Begin every text of --texts with the model's BOS token"), "texts"),
  maxTokens: needing(
    optional("N", "Take the first N tokens of each text of --texts (BOS not counted)", wholeNumber(1)),
    "texts",
  ),
  maxTexts: needing(optional("N", "Take the first N texts of --texts", wholeNumber(1)), "texts"),
};

export interface Cutting {
  readonly prependBos: boolean;
  readonly maxTokens: number | undefined;
}

/** Ids of the texts, cut, with BOS in front if wanted. The tokenizer adds no BOS, so none is doubled. */
export function documentsOf(
  model: LoadedModel,
  texts: readonly Document[],
  { prependBos, maxTokens }: Cutting,
  context: CommandContext,
): readonly (readonly number[])[] {
  const head = prependBos ? [bosOf(model)] : [];
  const documents = texts.map((text) => {
    const ids = typeof text === "string" ? tokenizerOf(model).encode(text, { addSpecialTokens: false }) : text;
    return [...head, ...ids.slice(0, maxTokens)];
  });
  const short = documents.filter((tokens) => tokens.length < 2).length;
  if (short === documents.length) {
    throw new SluiceError("usage", "There is no token to predict: every text is shorter than two tokens", {
      hint: prependBos ? "Give texts that are not empty." : "Give longer texts, or begin each with --prepend-bos.",
    });
  }
  if (short > 0) context.note(`${short} of ${documents.length} texts are shorter than two tokens and predict nothing`);
  return documents;
}

function bosOf({ tokenizer, config }: LoadedModel): number {
  const bos = tokenizer?.bosTokenId ?? config.bos_token_id;
  if (bos !== undefined) return bos;
  throw new SluiceError("usage", "--prepend-bos: neither the tokenizer nor config.json names a BOS token", {
    hint: "Leave the option out, or write the ids into a .jsonl file with the wanted token in front.",
  });
}
