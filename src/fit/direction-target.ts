/** Where a direction is fitted: sentences, site and layers as asked for, checked against the model. */
import { SluiceError } from "../errors.ts";
import { type AffineSite, affineSites } from "../interventions/stage.ts";
import type { ModelConfig } from "../models/config.ts";

export interface DirectionRequest {
  readonly positive: readonly (readonly number[])[];
  readonly negative: readonly (readonly number[])[];
  readonly site?: AffineSite;
  readonly layers?: "all" | readonly number[];
}

/**
 * The site, by default `resid_post`, and the layers in ascending order, by default all.
 * @throws SluiceError `usage` for an empty class, a site or layer that the model does not have, a layer named twice
 */
export function directionTarget(
  { num_hidden_layers: count }: Pick<ModelConfig, "num_hidden_layers">,
  { positive, negative, site = "resid_post", layers = "all" }: DirectionRequest,
): { readonly site: AffineSite; readonly layers: readonly number[] } {
  if (positive.length === 0 || negative.length === 0) {
    const empty = positive.length === 0 ? "positive" : "negative";
    throw new SluiceError("usage", `The ${empty} class has no sentence`, { hint: "Both classes are needed." });
  }
  if (!affineSites.includes(site)) {
    throw new SluiceError("usage", `No direction acts at ${JSON.stringify(site)}`, {
      hint: `Sites are ${affineSites.join(", ")}.`,
    });
  }
  if (layers === "all") return { site, layers: Array.from({ length: count }, (_, layer) => layer) };
  const ascending = [...layers].sort((a, b) => a - b);
  ascending.forEach((layer, i) => {
    if (Number.isInteger(layer) && layer >= 0 && layer < count && ascending.indexOf(layer) === i) return;
    throw new SluiceError("usage", `There is no layer ${layer}, or it is named twice`, {
      hint: `Layers are 0 to ${count - 1}.`,
    });
  });
  return { site, layers: ascending };
}
