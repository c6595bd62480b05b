/** A composition as a bundle. */
import type { Bundle } from "../../src/interventions/bundle-types.ts";
import { remainderOf } from "../../src/interventions/decompose.ts";
import { type Composition, isAtSite } from "../../src/interventions/stage.ts";
import type { ModelConfig } from "../../src/model-config.ts";

export function decomposed(config: ModelConfig, composition: Composition, file: string): Bundle {
  const kept = composition.stages.flatMap((stage) =>
    isAtSite(stage)
      ? stage.layers.map((layer) => ({ id: stage.id, layer, reason: "" }))
      : [{ id: stage.id, layer: 0, reason: "" }],
  );
  return remainderOf(config, composition, kept, file);
}
