/** A bundle whose stages act at another layer than they were fitted at. */
import { SluiceError } from "../errors.ts";
import type { Bundle, ComposedBundle } from "../interventions/bundle-types.ts";
import type { StageManifest } from "../interventions/manifest.ts";
import { layerTensorName, layerTensorNamed } from "../interventions/tensor-names.ts";
import { show } from "../show.ts";

/** The id of a bundle's stage in a composition. */
export function composedId(id: string, prefix: string | undefined): string {
  return prefix === undefined ? id : `${prefix}/${id}`;
}

/**
 * The bundles with the chosen stages at one layer. A stage that has values for the layer acts there with these; an affine
 * stage that was fitted at one layer acts there with that layer's, since the stream has one basis in all layers.
 * @param ids of the stages that are moved, as composed
 * @throws SluiceError `usage` for a stage that cannot act there
 */
export function movedTo(
  bundles: readonly ComposedBundle[],
  ids: ReadonlySet<string>,
  layer: number,
): readonly ComposedBundle[] {
  return bundles.map(({ bundle, prefix }) => {
    const isMoved = ({ id }: StageManifest): boolean => ids.has(composedId(id, prefix));
    if (!bundle.manifest.stages.some(isMoved)) return { bundle, ...(prefix !== undefined && { prefix }) };
    const tensors = new Map(bundle.tensors);
    const stages = bundle.manifest.stages.map((stage) => {
      if (!isMoved(stage)) return stage;
      if (stage.kind === "edge_mask") throw refused(bundle, stage, "is an edge mask, which belongs to no layer");
      const from = sourceLayer(bundle, stage, layer);
      for (const [key, tensor] of bundle.tensors) {
        const place = layerTensorNamed(key);
        if (place?.id !== stage.id) continue;
        tensors.delete(key);
        if (place.layer === from) tensors.set(layerTensorName(stage.id, layer, place.name), tensor);
      }
      return { ...stage, layers: [layer] };
    });
    const moved = { ...bundle, manifest: { ...bundle.manifest, stages }, tensors };
    return { bundle: moved, ...(prefix !== undefined && { prefix }) };
  });
}

/** The layer whose tensors a stage takes with it. */
function sourceLayer(bundle: Bundle, stage: Exclude<StageManifest, { kind: "edge_mask" }>, layer: number): number {
  const { layers = "all" } = stage;
  if (layers === "all" || layers.includes(layer)) return layer;
  const [only, ...others] = layers;
  if (stage.kind !== "affine") {
    throw refused(bundle, stage, `has no values for layer ${layer}, and neurons of another layer mean something else`);
  }
  if (only !== undefined && others.length === 0) return only;
  throw refused(bundle, stage, `has values for layers ${layers.join(", ")}, and none for layer ${layer}`);
}

function refused({ file }: Bundle, { id }: StageManifest, fault: string): SluiceError {
  return new SluiceError("usage", `${file}: stage ${show(id)} ${fault}`, {
    hint: "Name other layers, or the stages to sweep.",
    field: "layers",
  });
}
