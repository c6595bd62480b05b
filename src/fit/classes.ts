/** Rules for the input of fits from two classes of sentences. */
import { isOptions, listOf } from "../arguments/lists.ts";
import { either, test } from "../arguments/rule.ts";
import { oneOf, thing, whole } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import { type AffineSite, affineSites } from "../interventions/stage.ts";
import type { ModelConfig } from "../model-config.ts";
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
export const layerNumbers = either(oneOf(["all"]), listOf(whole({ least: 0 })));
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

/**
 * Layers in ascending order; all by default.
 * @throws SluiceError `usage` for one that the model does not have, or that is named twice
 */
export function layersFrom(
  { num_hidden_layers: count }: Pick<ModelConfig, "num_hidden_layers">,
  layers: "all" | readonly number[] = "all",
): readonly number[] {
  if (layers === "all") return Array.from({ length: count }, (_, layer) => layer);
  const sorted = [...layers].sort((a, b) => a - b);
  sorted.forEach((layer, i) => {
    if (Number.isInteger(layer) && layer >= 0 && layer < count && sorted.indexOf(layer) === i) return;
    throw new SluiceError("usage", `There is no layer ${layer}, or it is named twice`, {
      hint: `Layers are 0 to ${count - 1}.`,
    });
  });
  return sorted;
}
