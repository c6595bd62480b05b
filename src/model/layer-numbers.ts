/** Layers of a model, as options name them. */
import { listOf } from "../arguments/lists.ts";
import { either } from "../arguments/rule.ts";
import { oneOf, whole } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import type { ModelConfig } from "../model-config.ts";

/** The rule of an option that names layers. */
export const layerNumbers = either(oneOf(["all"]), listOf(whole({ least: 0 })));

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
