/**
 * What a running batch is compiled for: kinds of stages and sites, whatever the bundles that are registered later. It is
 * compiled as the stages of a composition are, with a stage that stands for any at each of its sites in all layers.
 */
import { SluiceError } from "../errors.ts";
import { destinationName, listDestinations, visibleSources } from "../interventions/edges.ts";
import { kindOf } from "../interventions/kinds/kinds.ts";
import { siteWidth } from "../interventions/site-names.ts";
import {
  type AffineSite,
  affineSites,
  type Composition,
  type EdgeMaskStage,
  edgeMaskIn,
  isAtSite,
  type NeuronSite,
  neuronSites,
  type SiteStage,
  type Stage,
} from "../interventions/stage.ts";
import type { ModelConfig } from "../model-config.ts";
import { show } from "../show.ts";
import type { ProgramBounds } from "./programs.ts";

/** Stages of one request, at most, if the caller does not say. */
export const DEFAULT_STAGES = 16;

/** What a caller says of it. */
export interface EnvelopeOptions {
  /**
   * `affine` stages at all their sites, in all layers: the most rows of v and u that those of one request have at one
   * site of a layer, all together; methods with one direction have one. Default: none, or what the model's bundles need.
   */
  readonly affineRank?: number;
  /** `neuron_scale` stages: at all their sites, or at those listed. Default: at the sites of the model's bundles. */
  readonly neuronScales?: boolean | readonly NeuronSite[];
  /**
   * Edge masks: into all destinations, or into those listed by name (`blocks.3.head.1`, `blocks.3.mlp`, `logits`; `q`, `k`
   * and `v` if query heads share keys and values). Each is computed for every row. Default: those of the model's bundles.
   */
  readonly edges?: boolean | readonly string[];
  /** Stages of one request; default 16. */
  readonly stages?: number;
}

export class Envelope implements ProgramBounds {
  readonly stages: number;
  readonly ranks: number;
  readonly #config: ModelConfig;
  readonly #affine: ReadonlySet<AffineSite>;
  readonly #neurons: ReadonlySet<NeuronSite>;
  readonly #edges: EdgeEnvelope | undefined;

  /** @param compositions what it must hold in any case */
  constructor(config: ModelConfig, options: EnvelopeOptions, compositions: readonly Composition[]) {
    const { affineRank = 0, neuronScales = [], stages = DEFAULT_STAGES } = options;
    const all = compositions.flatMap((each) => each.stages.filter(isAtSite));
    const present = <Site extends AffineSite | NeuronSite>(sites: readonly Site[]): Set<Site> =>
      new Set(sites.filter((site) => siteWidth(config, site) !== null));
    this.#config = config;
    this.#affine = new Set([
      ...(affineRank > 0 ? present(affineSites) : []),
      ...all.flatMap((stage) => (stage.kind === "affine" ? [stage.site] : [])),
    ]);
    this.#neurons = new Set([
      ...present(neuronScales === true ? neuronSites : neuronScales === false ? [] : neuronScales),
      ...all.flatMap((stage) => (stage.kind === "neuron_scale" ? [stage.site] : [])),
    ]);
    this.#edges = edgeEnvelope(config, options.edges ?? false, compositions);
    this.ranks = Math.max(affineRank, ...compositions.map((each) => ranksOf(each, config)));
    this.stages = Math.max(stages, ...compositions.map((each) => each.stages.length));
  }

  /** Whether nothing but plain rows can be run. */
  get isEmpty(): boolean {
    return this.#affine.size + this.#neurons.size === 0 && !this.#edges;
  }

  /** The composition that is compiled. Stages of single elements come first, so that kernels that make a value carry them. */
  get composition(): Composition {
    const layers = Array.from({ length: this.#config.num_hidden_layers }, (_, layer) => layer);
    const common = { layers, positions: "all", strength: 1, values: new Map() } as const;
    const scales = [...this.#neurons].map((site): Stage => {
      return { ...common, id: `neuron_scale at ${site}`, kind: "neuron_scale", site };
    });
    const affine = [...this.#affine].map((site): Stage => {
      const id = `affine at ${site}`;
      return { ...common, id, kind: "affine", method: "addition", gate: "identity", alpha: 1, site };
    });
    return {
      stages: [...scales, ...affine, ...(this.#edges ? [maskOf(this.#config, this.#edges)] : [])],
      warnings: [],
    };
  }

  /** @throws SluiceError `bad_bundle` saying what of a composition the batch was not compiled for, and how to open it */
  check(what: string, composition: Composition): void {
    for (const stage of composition.stages) {
      if (!isAtSite(stage)) {
        this.#checkEdges(what, stage);
        continue;
      }
      const isKnown: boolean = stage.kind === "affine" ? this.#affine.has(stage.site) : this.#neurons.has(stage.site);
      if (isKnown) continue;
      const wanted =
        stage.kind === "affine"
          ? `affineRank: ${Math.max(1, ranksOf(composition, this.#config))}`
          : `neuronScales: ["${stage.site}"]`;
      throw this.#outside(what, `stage ${stage.id} is ${stage.kind} at ${stage.site}`, opening(wanted));
    }
    const ranks = ranksOf(composition, this.#config);
    if (ranks > this.ranks) {
      throw this.#outside(what, `its affine stages have rank ${ranks} at one site`, opening(`affineRank: ${ranks}`));
    }
    const { length } = composition.stages;
    if (length > this.stages) throw this.#outside(what, `there are ${length} stages`, opening(`stages: ${length}`));
  }

  #checkEdges(what: string, { id, destinations, attn_bias, edges }: EdgeMaskStage): void {
    const known = this.#edges;
    if (known && (known.destinations !== destinations || known.attn_bias !== attn_bias)) {
      throw this.#outside(
        what,
        `stage ${id} has destinations by ${destinations} and attn_bias ${attn_bias}`,
        `It was opened for ${known.destinations} and ${known.attn_bias}: open another from a model with such a bundle.`,
      );
    }
    const names = listDestinations(this.#config, destinations).map(destinationName);
    const missing = edges.find(({ destination }) => !known?.list.has(destination));
    if (!missing) return;
    const wanted = [...new Set(edges.map(({ destination }) => `"${names[destination]}"`))];
    const some = wanted.length > 8 ? "true" : `[${wanted.join(", ")}]`;
    throw this.#outside(what, `stage ${id} masks edges into ${names[missing.destination]}`, opening(`edges: ${some}`));
  }

  #outside(what: string, problem: string, hint: string): SluiceError {
    return new SluiceError("bad_bundle", `${what}: ${problem}, which this batch was not opened for`, {
      hint,
      field: "envelope",
    });
  }
}

/** Destinations that have inputs of their own. */
interface EdgeEnvelope extends Pick<EdgeMaskStage, "destinations" | "attn_bias"> {
  /** By canonical index. */
  readonly list: ReadonlySet<number>;
}

/** @throws SluiceError `usage` for a destination that the model does not have */
function edgeEnvelope(
  config: ModelConfig,
  wanted: boolean | readonly string[],
  compositions: readonly Composition[],
): EdgeEnvelope | undefined {
  const masks = compositions.flatMap(({ stages }) => edgeMaskIn(stages) ?? []);
  const shared = config.num_key_value_heads !== config.num_attention_heads;
  const { destinations, attn_bias } = masks[0] ?? {
    destinations: shared ? ("qkv_groups" as const) : ("heads" as const),
    attn_bias: "per_head" as const,
  };
  const names = listDestinations(config, destinations).map(destinationName);
  const given = wanted === true ? names : wanted === false ? [] : wanted;
  const unknown = given.find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new SluiceError("usage", `envelope.edges names ${show(unknown)}, no destination of this model`, {
      hint: `There are ${names.slice(0, 3).join(", ")}, … ${names.at(-1)}.`,
      field: "envelope",
    });
  }
  const own = masks.filter((mask) => mask.destinations === destinations).flatMap(({ edges }) => edges);
  const list = new Set([...given.map((name) => names.indexOf(name)), ...own.map(({ destination }) => destination)]);
  return list.size > 0 ? { destinations, attn_bias, list } : undefined;
}

/** Every edge into these destinations, cut: then inputs are added up of what is kept, and need every source. */
function maskOf(config: ModelConfig, { destinations, attn_bias, list }: EdgeEnvelope): EdgeMaskStage {
  const edges = listDestinations(config, destinations).flatMap((destination, index) =>
    list.has(index)
      ? Array.from({ length: visibleSources(config, destination) }, (_, source) => {
          return { destination: index, source, value: 0 };
        })
      : [],
  );
  const replace = { attn: "zero", mlp: "zero", logits: "zero" } as const;
  return { id: "edges", kind: "edge_mask", strength: 1, destinations, attn_bias, replace, edges };
}

function opening(wanted: string): string {
  return `Open it with batch({ envelope: { ${wanted} } }).`;
}

/** The most rows of v and u of all affine stages at one site of one layer. */
function ranksOf({ stages }: Composition, { hidden_size }: ModelConfig): number {
  const sums = new Map<string, number>();
  for (const stage of stages) {
    if (!isAtSite(stage)) continue;
    for (const layer of stage.layers) {
      const at = `${stage.site} ${layer}`;
      sums.set(at, (sums.get(at) ?? 0) + rankOf(stage, layer, hidden_size));
    }
  }
  return Math.max(0, ...sums.values());
}

function rankOf(stage: SiteStage, layer: number, width: number): number {
  const { lowering } = kindOf(stage);
  return lowering.form === "row" ? lowering.rank(stage, stage.values.get(layer) ?? {}, width) : 0;
}
