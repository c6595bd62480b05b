/**
 * Directional ablation as studies of refusal do it (Arditi et al. 2024, arXiv 2406.11717): one layer's direction is taken out
 * of everything that writes to the stream, so that no layer's stream has a component along it. Each of these edits is at a
 * weight's output, so the bundle can be baked.
 */

import { SluiceError } from "../errors.ts";
import type { StoredTensor } from "../formats/safetensors.ts";
import type { Bundle } from "../interventions/bundle-types.ts";
import { layerTensorName, layerTensorNamed } from "../interventions/tensor-names.ts";
import type { ModelConfig } from "../model-config.ts";

/** What writes to the stream: the embedding, which is the input of layer 0, and two blocks per layer. */
const WRITERS = [
  { site: "resid_pre", firstOnly: true },
  { site: "attn_out", firstOnly: false },
  { site: "mlp_out", firstOnly: false },
] as const;

/** @throws SluiceError `usage` for another method */
export function requireAblation(method: string): void {
  if (method === "ablation") return;
  throw new SluiceError("usage", `everywhere is for ablation, not ${method}`, { field: "everywhere" });
}

/** @throws SluiceError `usage` for another method or several layers */
export function requireOneLayer(method: string, layers: readonly number[]): void {
  requireAblation(method);
  if (layers.length === 1) return;
  throw new SluiceError(
    "usage",
    `One layer's direction is taken out everywhere, and ${layers.length} layers were named`,
    {
      hint: "Name the one layer, or let it be chosen.",
      field: "layers",
    },
  );
}

/**
 * The stages that take a layer's direction out everywhere.
 * @param bundle fitted at that layer alone; its class means are kept under their names
 */
export function takenEverywhere(bundle: Bundle, config: Pick<ModelConfig, "num_hidden_layers">, layer: number): Bundle {
  const all = Array.from({ length: config.num_hidden_layers }, (_, i) => i);
  const [fitted] = bundle.manifest.stages;
  const tensors = new Map<string, StoredTensor>();
  let direction: StoredTensor | undefined;
  for (const [key, tensor] of bundle.tensors) {
    if (layerTensorNamed(key)?.name === "direction") direction = tensor;
    else tensors.set(key, tensor);
  }
  if (!direction || !fitted || !("site" in fitted)) throw new Error("The fitted bundle has no direction");
  const stages = WRITERS.map(({ site, firstOnly }) => ({
    id: `ablation_${site}`,
    kind: "affine" as const,
    method: "directional_ablation" as const,
    site,
    layers: firstOnly ? [0] : all,
  }));
  for (const stage of stages) {
    for (const each of stage.layers) tensors.set(layerTensorName(stage.id, each, "direction"), direction);
  }
  const fit = { ...bundle.manifest.fit, everywhere: { site: fitted.site, layer } };
  return { ...bundle, manifest: { ...bundle.manifest, stages, fit }, tensors };
}
