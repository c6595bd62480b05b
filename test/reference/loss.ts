/** Mean next-token cross-entropy of the reference, and its gradient with respect to the edge mask. */
import { listDestinations, listSources, visibleSources } from "../../src/interventions/edges.ts";
import type { Composition, EdgeMaskStage, MaskedEdge } from "../../src/interventions/stage.ts";
import { type ReferenceRun, referenceForward } from "./forward.ts";
import type { ReferenceModel } from "./open.ts";

type LossRun = Pick<ReferenceRun, "tokens" | "promptLength">;

/** Mean over the T − 1 predictions of −log p(next token), in nats. */
export function referenceLoss({ weights, config }: ReferenceModel, composition: Composition, run: LossRun): number {
  const { tokens } = run;
  const { logits } = referenceForward(weights, config, composition, run);
  const V = config.vocab_size;
  let sum = 0;
  for (let t = 0; t + 1 < tokens.length; t++) {
    const row = logits.subarray(t * V, (t + 1) * V);
    const highest = Math.max(...row);
    const total = row.reduce((partial, value) => partial + Math.exp(value - highest), 0);
    sum += highest + Math.log(total) - (row[tokens[t + 1] as number] as number);
  }
  return sum / (tokens.length - 1);
}

/** Every edge of a model, in canonical order, with the value that `mask` `[n_dst, n_src]` gives it. */
export function maskedEdges(
  config: ReferenceModel["config"],
  destinations: EdgeMaskStage["destinations"],
  mask: Float32Array,
): readonly MaskedEdge[] {
  const sources = listSources(config).length;
  return listDestinations(config, destinations).flatMap((place, destination) =>
    Array.from({ length: visibleSources(config, place) }, (_, source) => ({
      destination,
      source,
      value: mask[destination * sources + source] as number,
    })),
  );
}

/** Where rounding and curvature are both far below 1e-6 of a gradient, in float64. */
const STEP = 1e-4;

/**
 * ∂loss/∂m for some edges of the composition's `edge_mask`, by central differences: (L(m + h) − L(m − h)) / 2h. It
 * shares no line with a backward pass. Costs two forward passes an edge.
 * @param edges indices into the stage's edges
 */
export function maskGradient(
  model: ReferenceModel,
  composition: Composition,
  run: LossRun,
  edges: readonly number[],
): Float64Array {
  const lossAt = (index: number, shift: number): number => {
    const stages = composition.stages.map((stage) =>
      stage.kind === "edge_mask"
        ? {
            ...stage,
            edges: stage.edges.map((edge, i) => (i === index ? { ...edge, value: edge.value + shift } : edge)),
          }
        : stage,
    );
    return referenceLoss(model, { ...composition, stages }, run);
  };
  return Float64Array.from(edges, (index) => (lossAt(index, STEP) - lossAt(index, -STEP)) / (2 * STEP));
}
