/** Edges that a fit starts from: those that an earlier fit's bundle cut. */

import { SluiceError } from "../../errors.ts";
import type { Bundle } from "../../interventions/bundle-types.ts";
import { compose } from "../../interventions/compose.ts";
import { listSources } from "../../interventions/edges.ts";
import type { Destinations } from "../../interventions/stage.ts";
import type { ModelConfig } from "../../model-config.ts";
import type { Replacement } from "./edge-shards.ts";

export interface FitStart {
  readonly destinations: Destinations;
  readonly replacement: Replacement;
  /** Indices into a mask `[n_dst][n_src]`, ascending. */
  readonly cut: readonly number[];
}

/** The options of a fit that limit where it may start. */
export interface StartedFit {
  readonly method?: string;
  readonly edges: number;
  readonly destinations?: Destinations;
  readonly replace?: string;
  readonly corpus?: unknown;
}

/**
 * @throws SluiceError `usage` if the bundle is anything but edges cut whole, or if the fit's options leave
 *   nothing to search for or contradict the bundle; as `compose`
 */
export function startFrom(config: ModelConfig, bundle: Bundle, asked: StartedFit): FitStart {
  const { destinations } = asked;
  if (asked.method === "masks") {
    throw new SluiceError("usage", `masks steps a mask on every edge and does not start from ${bundle.file}`, {
      hint: "Use attribution+greedy.",
    });
  }
  if (asked.replace !== undefined || asked.corpus !== undefined) {
    throw refused(bundle, "already defines what replaces a cut source", "Leave out other replacements and the corpus.");
  }
  const { stages } = compose(config, [{ bundle }]);
  const [stage] = stages;
  if (stage?.kind !== "edge_mask" || stages.length > 1) {
    const found = stages.map(({ id, kind }) => `"${id}" (${kind})`).join(", ");
    throw refused(bundle, `has ${found}`, "A fit starts from one edge_mask and nothing else.");
  }
  if (destinations !== undefined && destinations !== stage.destinations) {
    throw refused(bundle, `names destinations by ${stage.destinations}, not by ${destinations}`);
  }
  if (stage.attn_bias !== "per_head") {
    throw refused(
      bundle,
      `keeps attention's bias separate (attn_bias "${stage.attn_bias}")`,
      "Fits share it among the heads.",
    );
  }
  const partial = stage.edges.find(({ value }) => value !== 0);
  if (partial || stage.strength !== 1) {
    const what = partial ? `keeps ${partial.value} of an edge` : `has a strength of ${stage.strength}`;
    throw refused(bundle, what, "Every edge must be cut whole, as attribution+greedy cuts them.");
  }
  if (asked.edges <= stage.edges.length) {
    throw refused(bundle, `cuts ${stage.edges.length}, and a limit of ${asked.edges} edges leaves none to search for`);
  }
  const sources = listSources(config).length;
  const constants = stage.constants && { data: stage.constants, shape: [sources, config.hidden_size] };
  return {
    destinations: stage.destinations,
    replacement: { constants, replace: stage.replace },
    cut: stage.edges.map(({ destination, source }) => destination * sources + source),
  };
}

function refused({ file }: Bundle, what: string, hint?: string): SluiceError {
  return new SluiceError("usage", `${file} cannot be a start: it ${what}`, hint === undefined ? {} : { hint });
}
