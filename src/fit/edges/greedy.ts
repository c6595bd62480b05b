/**
 * A small set of edges to cut: the gradient proposes, exact losses decide. At every step the edges whose cut is estimated
 * to help most (edge attribution, at the cuts made so far) are tried one by one, and the best is cut.
 */
import type { Objective, PairLoss } from "./objective.ts";

export interface GreedyStep {
  /** Index into the mask. */
  readonly edge: number;
  /** Losses on the fitted texts with this edge and all earlier ones cut. */
  readonly losses: PairLoss;
}

export interface GreedyOptions {
  /** Edges that are already cut, as indices into the mask. */
  readonly start: readonly number[];
  /** Maximum number of edges, including those of the start. */
  readonly edges: number;
  /** Candidates tried per step. */
  readonly shortlist: number;
  readonly onProgress: (text: string) => void;
}

/** Cuts further edges as long as the objective falls. */
export async function cutGreedily(objective: Objective, options: GreedyOptions): Promise<readonly GreedyStep[]> {
  const mask = new Float64Array(objective.shape[0] * objective.shape[1]).fill(1);
  for (const edge of options.start) mask[edge] = 0;
  const steps: GreedyStep[] = [];
  for (let count = options.start.length; count < options.edges; count++) {
    const place = `edge ${count + 1} of ${options.edges}`;
    options.onProgress(`${place}: attribution`);
    const { losses, gradient } = await objective.gradient(mask);
    // Cutting moves m by −1, so the estimated change is −∂/∂m; the smallest changes come first.
    const candidates = objective.edges
      .filter((edge) => mask[edge] === 1)
      .sort((a, b) => (gradient[b] as number) - (gradient[a] as number))
      .slice(0, options.shortlist)
      // In descending order of destination, so that candidates that share their early layers are adjacent.
      .sort((a, b) => b - a);
    const masks = candidates.map((edge) => {
      const tried = mask.slice();
      tried[edge] = 0;
      return tried;
    });
    const results = await objective.losses(masks, (done) =>
      options.onProgress(`${place}: ${Math.floor(done)} of ${masks.length} candidates`),
    );
    const best = bestOf(results.map((result) => objective.valueOf(result)));
    const found = results[best];
    const edge = candidates[best];
    if (found === undefined || edge === undefined || objective.valueOf(found) >= objective.valueOf(losses)) break;
    mask[edge] = 0;
    steps.push({ edge, losses: found });
  }
  return steps;
}

/** Index of the smallest value, the first of equal ones. */
function bestOf(values: readonly number[]): number {
  return values.reduce((best, value, i) => (value < (values[best] as number) ? i : best), 0);
}
