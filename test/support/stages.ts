/** Stages that several tests need. */
import type { Stage } from "../../src/interventions/stage.ts";

/** Sets all neurons at mlp_pre of one layer to 0. @param width of the MLP */
export function dampStage(width: number, layer = 1): Stage {
  return {
    id: "damp",
    kind: "neuron_scale",
    site: "mlp_pre",
    layers: [layer],
    positions: "all",
    strength: 1,
    values: new Map([[layer, { scale: new Float32Array(width) }]]),
  };
}
