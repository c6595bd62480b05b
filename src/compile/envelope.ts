/**
 * What a running batch is compiled for: kinds of stages and sites, whatever the bundles that are registered later. It is
 * compiled as the stages of a composition are, with a stage that stands for any at each of its sites in all layers.
 */
import { SluiceError } from "../errors.ts";
import { kindOf } from "../interventions/kinds/kinds.ts";
import { siteWidth } from "../interventions/site-names.ts";
import {
  type AffineSite,
  affineSites,
  type Composition,
  isAtSite,
  type NeuronSite,
  neuronSites,
  type SiteStage,
  type Stage,
} from "../interventions/stage.ts";
import type { ModelConfig } from "../model-config.ts";
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
  /** Stages of one request; default 16. */
  readonly stages?: number;
}

export class Envelope implements ProgramBounds {
  readonly stages: number;
  readonly ranks: number;
  readonly #config: ModelConfig;
  readonly #affine: ReadonlySet<AffineSite>;
  readonly #neurons: ReadonlySet<NeuronSite>;

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
    this.ranks = Math.max(affineRank, ...compositions.map((each) => ranksOf(each, config)));
    this.stages = Math.max(stages, ...compositions.map((each) => each.stages.length));
  }

  /** Whether nothing but plain rows can be run. */
  get isEmpty(): boolean {
    return this.#affine.size + this.#neurons.size === 0;
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
    return { stages: [...scales, ...affine], warnings: [] };
  }

  /** @throws SluiceError `bad_bundle` saying what of a composition the batch was not compiled for, and how to open it */
  check(what: string, composition: Composition): void {
    for (const stage of composition.stages) {
      if (!isAtSite(stage)) {
        throw this.#outside(what, `stage ${stage.id} is an edge_mask`, "Open a session of model.with(bundles) for it.");
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

  #outside(what: string, problem: string, hint: string): SluiceError {
    return new SluiceError("bad_bundle", `${what}: ${problem}, which this batch was not opened for`, {
      hint,
      field: "envelope",
    });
  }
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
