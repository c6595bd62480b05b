/**
 * Fits an edge mask that makes a model worse at bad texts and hardly changes good ones (Circuit Breaking, arXiv 2309.05973):
 * few edges, cut exactly, and reported on texts that the fit has not seen.
 */

import { entry, options } from "../../arguments/entry.ts";
import { fields, needed } from "../../arguments/fields.ts";
import { listOf, tokens } from "../../arguments/lists.ts";
import { test } from "../../arguments/rule.ts";
import { callback, finite, oneOf, signal, whole } from "../../arguments/rules.ts";
import { edgeFitDefaults } from "../../defaults.ts";
import { SluiceError } from "../../errors.ts";
import { storeFloat32 } from "../../formats/safetensors.ts";
import { bundle } from "../../interventions/arguments.ts";
import type { Bundle } from "../../interventions/bundle-types.ts";
import { baseOf } from "../../interventions/compose.ts";
import { destinationName, listDestinations, listSources, sourceName } from "../../interventions/edges.ts";
import type { Destinations } from "../../interventions/stage.ts";
import type { Model } from "../../model/model.ts";
import { model as anyModel } from "../../model/model-argument.ts";
import { holdOutShare } from "../../numbers/hold-out.ts";
import { inProcess, labelOf, type ShardRunner, shardRunner } from "../../shards/shards.ts";
import { checkAttribution } from "../attribution.ts";
import { sealed } from "../sealed.ts";
import { partsOf, type Replacement, sourceMeans } from "./edge-shards.ts";
import { cutGreedily } from "./greedy.ts";
import { meanDivergences } from "./judge.ts";
import { learnMasks } from "./learn-masks.ts";
import { Objective, type PairLoss, type TextPair } from "./objective.ts";
import { startFrom } from "./start.ts";

export type { PairLoss } from "./objective.ts";

/** Options of {@link fitEdges}. */
export interface EdgeFitOptions extends TextPair {
  /** Maximum number of edges that `attribution+greedy` cuts, including those of `start`; default 12. */
  readonly edges?: number;
  /**
   * A bundle of an earlier fit: its edges stay cut, its replacements stay in use, and further edges are searched for. The
   * texts may differ, for example those that the model writes with these edges cut. For `attribution+greedy`.
   */
  readonly start?: Bundle;
  /** `attribution+greedy` (default) tries the edges that the gradient proposes; `masks` learns a mask on every edge. */
  readonly method?: "attribution+greedy" | "masks";
  /** One attention input per head, or one per query head, key and value group. Default: `heads` if G = H. */
  readonly destinations?: Destinations;
  /** Weight of the bad loss relative to the good loss; default 0.2. */
  readonly badWeight?: number;
  /**
   * Largest rise of the bad loss that counts, in nats per token, from the start of the search; default: no limit. A loss grows
   * without bound, so with a large weight a ruined model could win; above the cap only the good texts decide.
   */
  readonly badCap?: number;
  /** Share of the texts held out for the report; default 0.25. */
  readonly heldOut?: number;
  /** Candidates per step of the greedy search; default 32. */
  readonly shortlist?: number;
  /** What replaces a cut source: its mean over the corpus (default), zeros, or, as in the paper's code, the mean at attention inputs and zeros at MLPs and logits. */
  readonly replace?: "mean" | "zero" | "paper";
  /** Texts for the means; default: the good texts that are fitted. */
  readonly corpus?: readonly (readonly number[])[];
  /** Steps of `masks`; default 300. */
  readonly epochs?: number;
  /** Final pull of each edge towards 1 in `masks`, in nats per edge; default 1e-3. */
  readonly ramp?: number;
  /** Does the computing elsewhere, such as on other machines. The result is the same on one kind of device. */
  readonly runner?: ShardRunner;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal | undefined;
  /** Called with a line of text after every step. */
  readonly onProgress?: (text: string) => void;
}

/** A cut edge. */
export interface FittedEdge {
  /** Name of the source, such as `blocks.0.head.3`. */
  readonly source: string;
  /** Name of the destination, such as `blocks.2.mlp`. */
  readonly destination: string;
  /** Losses on held-out texts with this edge alone cut. */
  readonly alone: PairLoss;
}

/** The bundle of {@link fitEdges}, and the effect of its cuts on held-out texts. */
export interface EdgeFit {
  /** One stage `edges`. */
  readonly bundle: Bundle;
  /** The result in one sentence. */
  readonly summary: string;
  /** In the order in which they were cut. */
  readonly edges: readonly FittedEdge[];
  /** Losses of the whole model on held-out texts. */
  readonly before: PairLoss;
  /** Losses on held-out texts with all edges cut. */
  readonly after: PairLoss;
  /** KL(whole ‖ cut) of the next token, in nats, averaged over the tokens of up to 16 held-out texts of each kind. */
  readonly divergence: PairLoss;
}

const texts = needed(listOf(tokens));

export const fitEdgesDoor = entry(
  "fitEdges",
  ["model", anyModel],
  options(
    fields<EdgeFitOptions>()({
      good: texts,
      bad: texts,
      edges: whole({ least: 1 }),
      start: bundle,
      method: oneOf(["attribution+greedy", "masks"]),
      destinations: oneOf(["heads", "qkv_groups"]),
      badWeight: finite({ least: 0 }),
      badCap: test<number>("a number of at least 0", (value) => typeof value === "number" && value >= 0),
      heldOut: finite({ above: 0, below: 1 }),
      shortlist: whole({ least: 1 }),
      replace: oneOf(["mean", "zero", "paper"]),
      corpus: listOf(tokens),
      epochs: whole({ least: 1 }),
      ramp: finite({ least: 0 }),
      runner: shardRunner,
      signal,
      onProgress: callback(),
    }),
  ),
);

const { shortlist: SHORTLIST, edges: MOST_EDGES } = edgeFitDefaults;
/** Texts of each kind whose logits are compared. */
const COMPARED_TEXTS = 16;

/**
 * @throws SluiceError `usage` for options out of range, too few texts, or if no cut helps; as `openAttribution`; `aborted`
 */
export async function fitEdges(model: Model, given: EdgeFitOptions): Promise<EdgeFit> {
  const [, options] = fitEdgesDoor.read(model, given);
  const { config } = model;
  const {
    method = edgeFitDefaults.method,
    badWeight = edgeFitDefaults.badWeight,
    badCap = Number.POSITIVE_INFINITY,
    heldOut = 0.25,
    runner = inProcess,
    signal,
    onProgress = () => undefined,
  } = options;
  const start = options.start && startFrom(config, options.start, { edges: MOST_EDGES, ...options });
  const shared = config.num_attention_heads !== config.num_key_value_heads;
  const destinations = start?.destinations ?? options.destinations ?? (shared ? "qkv_groups" : "heads");
  const good = split("good", options.good, heldOut);
  const bad = split("bad", options.bad, heldOut);
  onProgress("means of the sources");
  const corpus = options.corpus ?? good.fitted;
  const replacement = start?.replacement ?? (await replacementFrom(model, destinations, options, corpus));
  const common = { destinations, badWeight, badCap, replacement, runner, signal };

  const fitted = new Objective(
    model,
    { good: good.fitted, bad: bad.fitted },
    { ...common, mostMasks: options.shortlist ?? SHORTLIST },
  );
  let found: readonly number[];
  try {
    found = await search(fitted, method, options, start?.cut ?? [], onProgress);
  } finally {
    fitted.dispose();
  }
  if (found.length === 0) {
    throw new SluiceError(
      "usage",
      `No ${start ? "further " : ""}cut lowers the objective: every edge that hurts the bad texts hurts the good ones more`,
      { hint: "Give the bad loss a larger weight, or more texts." },
    );
  }
  const cut = [...(start?.cut ?? []), ...found];

  onProgress("judging on held-out texts");
  const held = new Objective(model, { good: good.held, bad: bad.held }, common);
  try {
    const whole = new Float64Array(held.shape[0] * held.shape[1]).fill(1);
    const without = (edges: readonly number[]): Float64Array => {
      const mask = whole.slice();
      for (const edge of edges) mask[edge] = 0;
      return mask;
    };
    const [before, after, ...alone] = await held.losses([whole, without(cut), ...cut.map((edge) => without([edge]))]);
    const [sources, places] = [listSources(config), listDestinations(config, destinations)];
    const edges = cut.map((edge, i): FittedEdge => {
      const source = sources[edge % sources.length];
      const destination = places[Math.floor(edge / sources.length)];
      if (!source || !destination) throw new Error(`Index ${edge} is not an edge`);
      return { source: sourceName(source), destination: destinationName(destination), alone: alone[i] as PairLoss };
    });
    const losses = { before: before as PairLoss, after: after as PairLoss };
    const summary = sentence({ ...losses, edges }, held.edgeCount);
    const bundle = bundleOf(config, destinations, replacement, edges, summary);
    const edited = model.with([bundle]);
    onProgress("comparing predictions");
    const compared = [good, bad].map((texts) => texts.held.slice(0, COMPARED_TEXTS));
    const [moved, unlearned] = await meanDivergences(edited, compared, { runner, signal });
    const divergence = { good: moved as number, bad: unlearned as number };
    const report = { ...losses, divergence, edges };
    const texts = {
      good: good.fitted.length,
      bad: bad.fitted.length,
      held_good: good.held.length,
      held_bad: bad.held.length,
    };
    const capped = Number.isFinite(badCap) && { bad_cap: badCap };
    const fit = {
      method,
      bad_weight: badWeight,
      ...capped,
      ...(start ? { started_with: start.cut.length } : { replace: options.replace ?? "mean" }),
      texts,
      held_out: report,
    };
    const complete = { ...bundle, manifest: { ...bundle.manifest, fit } };
    return { ...report, summary, bundle: await sealed(model, complete, signal) };
  } finally {
    held.dispose();
  }
}

/** Refuses at once what would later appear as another error: too few texts, or cuts that do not help. */
async function search(
  objective: Objective,
  method: NonNullable<EdgeFitOptions["method"]>,
  {
    edges = MOST_EDGES,
    shortlist = SHORTLIST,
    epochs = edgeFitDefaults.epochs,
    ramp = edgeFitDefaults.ramp,
  }: EdgeFitOptions,
  start: readonly number[],
  onProgress: (text: string) => void,
): Promise<readonly number[]> {
  if (method === "attribution+greedy") {
    const steps = await cutGreedily(objective, { start, edges, shortlist, onProgress });
    return steps.map(({ edge }) => edge);
  }
  const mask = await learnMasks(objective, { epochs, ramp, onProgress });
  return objective.edges.filter((edge) => mask[edge] === 0);
}

function split(what: string, texts: readonly (readonly number[])[], share: number) {
  const usable = texts.filter(({ length }) => length > 1);
  const { fitted, held } = holdOutShare(usable, share);
  if (fitted.length > 0 && held.length > 0) return { fitted, held };
  throw new SluiceError("usage", `${usable.length} ${what} texts of two tokens or more are too few to hold any out`, {
    hint: "Give more texts; a quarter of them is held out for the report.",
  });
}

async function replacementFrom(
  model: Model,
  destinations: Destinations,
  { replace = "mean", runner = inProcess, signal }: EdgeFitOptions,
  corpus: readonly (readonly number[])[],
): Promise<Replacement> {
  const rest = replace === "mean" ? "constants" : "zero";
  if (replace === "zero") return { constants: undefined, replace: { attn: rest, mlp: rest, logits: rest } };
  checkAttribution(model, corpus, { destinations });
  const parts = partsOf(corpus);
  const rows = parts.reduce((sum, part) => sum + part.rows, 0);
  const shards = parts.map(({ texts, first }) => {
    const label = labelOf("text for the means", "texts for the means", first, texts.length);
    return { label, model, input: { texts, destinations } };
  });
  let sum: Float64Array | undefined;
  let shape: readonly number[] = [];
  let done = 0;
  for await (const means of runner.run(sourceMeans, shards, { signal })) {
    const share = (parts[done++]?.rows ?? 0) / rows;
    sum ??= new Float64Array(means.data.length);
    for (const [i, value] of means.data.entries()) sum[i] = (sum[i] as number) + share * value;
    shape = means.shape;
  }
  const constants = { data: Float32Array.from(sum ?? []), shape };
  return { constants, replace: { attn: "constants", mlp: rest, logits: rest } };
}

/** `3 of 375 edges: loss on bad text 3.21 → 5.87, on good text 2.10 → 2.14 (held out)` */
function sentence({ before, after, edges }: Pick<EdgeFit, "before" | "after" | "edges">, count: number): string {
  const change = (kind: keyof PairLoss) => `${before[kind].toFixed(3)} → ${after[kind].toFixed(3)}`;
  const total = count.toLocaleString("en-US");
  return `${edges.length} of ${total} edges: loss on bad text ${change("bad")}, on good text ${change("good")} (held out)`;
}

function bundleOf(
  config: Model["config"],
  destinations: Destinations,
  { constants, replace }: Replacement,
  edges: readonly FittedEdge[],
  summary: string,
): Bundle {
  const id = "edges";
  const tensors = constants
    ? new Map([[`${id}.constants`, storeFloat32(Float32Array.from(constants.data), constants.shape)]])
    : new Map();
  return {
    file: "fitted edges",
    manifest: {
      name: "Fitted edges",
      description: summary,
      base: baseOf(config),
      stages: [
        {
          id,
          kind: "edge_mask",
          destinations,
          attn_bias: "per_head",
          replace,
          edges: edges.map(({ source, destination }) => [source, destination, 0] as const),
        },
      ],
    },
    tensors,
    metadata: new Map(),
  };
}
