/** Rules for the input of fits from two classes of sentences. */
import { isOptions } from "../arguments/lists.ts";
import { test } from "../arguments/rule.ts";
import { thing } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import { type AffineSite, affineSites } from "../interventions/stage.ts";
import { show } from "../show.ts";
import type { ResponseStore } from "./responses.ts";
import { type Sentence, type SentenceOptions, sentenceFields, sentences } from "./sentences.ts";

/** The sentences of both classes. */
export interface LabelledSentences extends SentenceOptions {
  /** Sentences of the positive class. */
  readonly positive: readonly Sentence[];
  /** Sentences of the negative class. */
  readonly negative: readonly Sentence[];
}

/** Rules that fits share. */
export const provenance = test<Readonly<Record<string, unknown>>>("an object", isOptions);
export const responseStore = thing<ResponseStore>("a store with begin, read and append", {
  begin: "function",
  read: "function",
  append: "function",
});

/** The rules of {@link LabelledSentences}. */
export const labelledFields = { positive: sentences, negative: sentences, ...sentenceFields };

/** @throws SluiceError `usage` for a class without sentences */
export function requireBothClasses({ positive, negative }: Pick<LabelledSentences, "positive" | "negative">): void {
  if (positive.length > 0 && negative.length > 0) return;
  const empty = positive.length === 0 ? "positive" : "negative";
  throw new SluiceError("usage", `The ${empty} class has no sentence`, { hint: "Both classes are needed." });
}

/** @throws SluiceError `usage` for a site that directions cannot edit */
export function requireAffineSite(site: string): AffineSite {
  const found = affineSites.find((each) => each === site);
  if (found) return found;
  throw new SluiceError("usage", `Directions cannot act at ${show(site)}`, {
    hint: `Sites are ${affineSites.join(", ")}.`,
  });
}
