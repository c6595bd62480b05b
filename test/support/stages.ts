/** Stages that several tests need. */
import type { Stage } from "../../src/interventions/stage.ts";

/** Adds a direction to the residual stream behind one layer. */
export function pushStage(direction: Float32Array, layer = 1): Stage {
  return {
    id: "push",
    kind: "affine",
    method: "addition",
    site: "resid_post",
    layers: [layer],
    positions: "all",
    gate: "identity",
    alpha: 1,
    strength: 1,
    values: new Map([[layer, { direction }]]),
  };
}

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
