/** Stages that several tests need. */
import {
  destinationName,
  type EdgeShape,
  listDestinations,
  listSources,
  sourceName,
  visibleSources,
} from "../../src/interventions/edges.ts";
import type { EdgeMaskStage, Stage } from "../../src/interventions/stage.ts";

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

/** A mask of the edges to which `value` gives a number, by the names of their ends. */
export function maskStage(
  shape: EdgeShape,
  value: (source: string, destination: string) => number | undefined,
  own: Partial<EdgeMaskStage> = {},
): EdgeMaskStage {
  const sources = listSources(shape).map(sourceName);
  const edges = listDestinations(shape, "qkv_groups").flatMap((place, destination) =>
    sources.slice(0, visibleSources(shape, place)).flatMap((name, source) => {
      const m = value(name, destinationName(place));
      return m === undefined ? [] : [{ destination, source, value: m }];
    }),
  );
  const replace = { attn: "constants", mlp: "constants", logits: "constants" } as const;
  const common = { destinations: "qkv_groups", attn_bias: "per_head", replace } as const;
  return { id: "mask", kind: "edge_mask", strength: 1, ...common, edges, ...own };
}
