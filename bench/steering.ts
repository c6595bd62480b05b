/** Bundles for servers under load: a steering vector in every layer, a different one for each index. */
import { storeFloat32 } from "../src/formats/safetensors.ts";
import type { Bundle, Model } from "../src/index.ts";
import { baseOf } from "../src/interventions/compose.ts";

export function steering({ config }: Model, index: number, strength = 0.01): Bundle {
  const { hidden_size: d, num_hidden_layers } = config;
  const layers = Array.from({ length: num_hidden_layers }, (_, layer) => layer);
  const direction = (layer: number) =>
    storeFloat32(
      Float32Array.from({ length: d }, (_, i) => Math.sin(0.7 * i + layer + 3 * index)),
      [d],
    );
  return {
    file: `${index}.safetensors`,
    manifest: {
      name: `vector ${index}`,
      base: baseOf(config),
      stages: [{ id: "push", kind: "affine", method: "addition", site: "resid_post", layers, strength }],
    },
    tensors: new Map(layers.map((layer) => [`push.${layer}.direction`, direction(layer)])),
    metadata: new Map(),
  };
}
