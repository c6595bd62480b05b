/**
 * AurA, Damp and Det-zero: neurons whose greatest response to a sentence (or the one at a chosen token) separates the positive class from the negative are
 * scaled down (Suau et al. 2024, arXiv 2407.12824).
 */

import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { listOf } from "../arguments/lists.ts";
import { signal as abortSignal, callback, finite, oneOf, text, whole } from "../arguments/rules.ts";
import { auraDefaults } from "../defaults.ts";
import { SluiceError } from "../errors.ts";
import { type StoredTensor, storeFloat32 } from "../formats/safetensors.ts";
import { siteName } from "../graph/site.ts";
import { neuronSite } from "../interventions/arguments.ts";
import type { Bundle } from "../interventions/bundle-types.ts";
import { baseOf } from "../interventions/compose.ts";
import type { StageManifest } from "../interventions/manifest.ts";
import { ourSiteKind, siteWidth } from "../interventions/site-names.ts";
import { type NeuronSite, neuronSites } from "../interventions/stage.ts";
import { layerTensorName } from "../interventions/tensor-names.ts";
import type { Model } from "../model/model.ts";
import { model as anyModel } from "../model/model-argument.ts";
import type { ModelConfig } from "../model-config.ts";
import { type ShardRunner, shardRunner } from "../shards/shards.ts";
import { show } from "../show.ts";
import { auraFactor, auroc, aurocNullDeviation } from "./auroc.ts";
import { classTables, type ResponseTable } from "./class-tables.ts";
import { type LabelledSentences, labelledFields, provenance, requireBothClasses, responseStore } from "./classes.ts";
import type { ResponseStore } from "./responses.ts";
import { sealed } from "./sealed.ts";
import { describeReading, readClasses } from "./sentences.ts";

/** Options of {@link fitAura}. */
export interface AuraOptions extends LabelledSentences {
  /** Default: mlp_pre and mlp_out on GPT-2; gate_pre, up and mlp_out on Llama. */
  readonly sites?: readonly NeuronSite[];
  /** `aura` (default) scales by 1 − Gini; `damp` by a fixed factor, `det0` by 0, for the `top` neurons of highest AUROC. */
  readonly variant?: "aura" | "damp" | "det0";
  /** Maximum number of neurons to scale in the whole model; required for `damp` and `det0`. Default of `aura`: all. */
  readonly top?: number;
  /** The factor of `damp`, default 0.5. */
  readonly factor?: number;
  /** Display name of the bundle. */
  readonly name?: string;
  /** Where the sentences came from, for the bundle's provenance. */
  readonly sources?: Readonly<Record<string, unknown>>;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
  /** Keeps pooled responses, so that an interrupted fit can continue. */
  readonly store?: ResponseStore;
  /** Does the measuring elsewhere, such as on other machines. The result is the same on one kind of device. */
  readonly runner?: ShardRunner;
  /**
   * Maximum bytes of pooled responses in memory, default 1 GiB; a single module may take twice that. With a store the
   * sentences are run once; without one, once per group of modules that fits.
   */
  readonly heldBytes?: number;
  /**
   * Called with sentences done so far, and in all.
   * @param kept sentences of those done that an interrupted fit had measured
   */
  onProgress?(done: number, total: number, kept: number): void;
}

/** A neuron and how well it separates the classes. */
export interface RankedNeuron {
  /** Site of the neuron, such as `mlp_pre`. */
  readonly site: string;
  /** Layer, from 0. */
  readonly layer: number;
  /** Index within the site, from 0. */
  readonly neuron: number;
  /** Area under the ROC curve of its greatest response per sentence; ½ is chance. */
  readonly auroc: number;
  /** The bundle's factor for it. */
  readonly scale: number;
}

export const auraDoor = entry(
  "fitAura",
  ["model", anyModel],
  optionsOf(
    fields<AuraOptions>()({
      ...labelledFields,
      sites: listOf(neuronSite, { least: 1 }),
      variant: oneOf(["aura", "damp", "det0"]),
      top: whole({ least: 1 }),
      factor: finite(),
      name: text,
      sources: provenance,
      signal: abortSignal,
      store: responseStore,
      runner: shardRunner,
      heldBytes: whole({ least: 1 }),
      onProgress: callback<NonNullable<AuraOptions["onProgress"]>>(),
    }),
  ),
);

/** The bundle of {@link fitAura} and the measurements behind it. */
export interface AuraFit {
  /** One `neuron_scale` stage `aura_SITE` per site. */
  readonly bundle: Bundle;
  /** The strongest neurons, in descending order. */
  readonly strongest: readonly RankedNeuron[];
  /** Neurons that were measured. */
  readonly neurons: number;
  /** Neurons with an AUROC above ½ by more than three standard deviations under chance. */
  readonly beyondChance: number;
  /** Number of neurons that chance alone would put beyond that bound. */
  readonly expectedByChance: number;
}

/** P(Z > 3) of a standard normal. */
const BEYOND_THREE = 0.001349898;
const SHOWN = 20;

/** The sites that AurA's authors act on. */
export function auraSites({ mlp }: Pick<ModelConfig, "mlp">): readonly NeuronSite[] {
  return mlp === "plain" ? ["mlp_pre", "mlp_out"] : ["gate_pre", "up", "mlp_out"];
}

/**
 * Fits a bundle of `neuron_scale` stages, one per site with id `aura_SITE`; per-neuron AUROCs are stored next to the factors as
 * `aura_SITE.LAYER.auroc`. The model must run its reference plan, so that equal contexts tie.
 * @throws SluiceError `usage` for an empty class, a site that the model does not have, options that conflict,
 *   more sentences than fit in memory for a site; errors of pooling and of the store
 */
export async function fitAura(model: Model, options: AuraOptions): Promise<AuraFit> {
  const [{ config }, wanted] = auraDoor.read(model, options);
  const { positive, negative, variant = auraDefaults.variant, top, factor = auraDefaults.factor } = wanted;
  const sites = (wanted.sites ?? auraSites(config)).map((site) => ourSiteKind(config, site) as NeuronSite);
  requireBothClasses(wanted);
  if (variant !== "aura" && top === undefined) {
    throw new SluiceError("usage", `The variant ${variant} needs a number of neurons`, {
      hint: "For example 100.",
      field: "top",
    });
  }
  if (variant !== "damp" && wanted.factor !== undefined) {
    throw new SluiceError("usage", `The variant ${variant} takes no factor`, { hint: "Only damp takes one." });
  }
  for (const site of sites) {
    if (neuronSites.includes(site) && siteWidth(config, site) !== null) continue;
    throw new SluiceError("usage", `This model has no neurons at ${show(site)}`, {
      hint: `Sites are ${neuronSites.filter((name) => siteWidth(config, name) !== null).join(", ")}.`,
    });
  }
  const twice = sites.find((site, i) => sites.indexOf(site) !== i);
  if (twice !== undefined) throw new SluiceError("usage", `The site ${twice} is named twice`);
  const areas = await measure(model, sites, wanted);
  const ranked = sites.flatMap((site) =>
    layersOf(config).flatMap((layer) =>
      Array.from(areas.get(siteName({ kind: site, layer })) ?? [], (area, neuron) => {
        return { site, layer, neuron, auroc: area };
      }),
    ),
  );
  ranked.sort((a, b) => b.auroc - a.auroc);
  const chosen = top === undefined ? undefined : new Set(ranked.slice(0, top).map(nameOf));
  const scaleOf = (neuron: Omit<RankedNeuron, "scale">): number => {
    if (chosen && !chosen.has(nameOf(neuron))) return 1;
    if (variant === "aura") return auraFactor(neuron.auroc);
    return variant === "damp" ? factor : 0;
  };
  const deviation = aurocNullDeviation(positive.length, negative.length);
  return {
    bundle: await sealed(model, makeBundle(model, sites, areas, scaleOf, wanted), wanted.signal),
    strongest: ranked.slice(0, SHOWN).map((neuron) => ({ ...neuron, scale: scaleOf(neuron) })),
    neurons: ranked.length,
    beyondChance: ranked.filter((neuron) => neuron.auroc > 0.5 + 3 * deviation).length,
    expectedByChance: ranked.length * BEYOND_THREE,
  };
}

function layersOf({ num_hidden_layers }: Pick<ModelConfig, "num_hidden_layers">): readonly number[] {
  return Array.from({ length: num_hidden_layers }, (_, layer) => layer);
}

/** AUROC of every neuron, by the name of its site. */
async function measure(
  model: Model,
  sites: readonly NeuronSite[],
  options: AuraOptions,
): Promise<ReadonlyMap<string, Float32Array>> {
  const modules = sites.flatMap((kind) => layersOf(model.config).map((layer) => siteName({ kind, layer })));
  const areas = new Map<string, Float32Array>();
  const { pooling, ...classes } = readClasses(model, options, "max");
  const tables = classTables(model, modules, pooling, { ...options, ...classes });
  for await (const { modules: group, positive, negative } of tables) {
    for (const site of group) areas.set(site, areasOf(positive, negative, site));
  }
  return areas;
}

function areasOf(positive: ResponseTable, negative: ResponseTable, site: string): Float32Array {
  const width = positive.widthOf(site);
  return Float32Array.from({ length: width }, (_, neuron) =>
    auroc(positive.column(site, neuron), negative.column(site, neuron)),
  );
}

function makeBundle(
  model: Model,
  sites: readonly NeuronSite[],
  areas: ReadonlyMap<string, Float32Array>,
  scaleOf: (neuron: Omit<RankedNeuron, "scale">) => number,
  options: AuraOptions,
): Bundle {
  const { positive, negative, variant = "aura", top, factor, name, sources } = options;
  const { config } = model;
  const tensors = new Map<string, StoredTensor>();
  const stages: StageManifest[] = [];
  for (const site of sites) {
    const id = `aura_${site}`;
    stages.push({ id, kind: "neuron_scale", site, layers: "all" });
    for (const layer of layersOf(config)) {
      const values = areas.get(siteName({ kind: site, layer })) ?? new Float32Array(0);
      const scale = Float32Array.from(values, (area, neuron) => scaleOf({ site, layer, neuron, auroc: area }));
      tensors.set(layerTensorName(id, layer, "scale"), storeFloat32(scale, [scale.length]));
      tensors.set(layerTensorName(id, layer, "auroc"), storeFloat32(values, [values.length]));
    }
  }
  const settings = {
    ...(top !== undefined && { top }),
    ...(variant === "damp" && { factor: factor ?? auraDefaults.factor }),
  };
  return {
    file: "the fitted bundle",
    manifest: {
      name: name ?? variant,
      base: baseOf(config),
      stages,
      fit: {
        method: variant,
        ...describeReading(options, "max over tokens"),
        n_positive: positive.length,
        n_negative: negative.length,
        ...settings,
        ...sources,
      },
    },
    tensors,
    metadata: new Map(),
  };
}

function nameOf({ site, layer, neuron }: Pick<RankedNeuron, "site" | "layer" | "neuron">): string {
  return `${site}.${layer}.${neuron}`;
}
