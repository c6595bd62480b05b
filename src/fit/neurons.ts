/**
 * How single neurons add up to a concept, and an edit derived from that without training (Yang et al. 2024, "How Does
 * DPO Reduce Toxicity?", arXiv 2411.06424).
 *
 * Neuron i of layer l adds a_i·v_i to the stream, v_i being its value vector. Along the unit direction ŵ of a probe that is
 * a_i·(v_i·ŵ), and exactly Σ_i a_i(v_i·ŵ) = (mlp_out − b_out)·ŵ.
 */

import { openModel } from "../architectures/open-model.ts";
import { entry, optional, options as optionsOf } from "../arguments/entry.ts";
import { fields, needed } from "../arguments/fields.ts";
import { floats } from "../arguments/lists.ts";
import { signal as abortSignal, callback, finite, text, whole } from "../arguments/rules.ts";
import { neuronDefaults } from "../defaults.ts";
import { SluiceError } from "../errors.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { dequantized } from "../formats/dequantized.ts";
import { type StoredTensor, storeFloat32 } from "../formats/safetensors.ts";
import type { MatrixRef } from "../graph/graph.ts";
import { isSameSite } from "../graph/site.ts";
import { openModelFiles } from "../hub/open-model.ts";
import { affineSite } from "../interventions/arguments.ts";
import type { Bundle } from "../interventions/bundle-types.ts";
import { baseOf } from "../interventions/compose.ts";
import { readFloat64 } from "../interventions/float64-tensor.ts";
import { layerTensorName } from "../interventions/tensor-names.ts";
import { modelSource } from "../model/doors.ts";
import type { Model } from "../model/model.ts";
import { model as anyModel } from "../model/model-argument.ts";
import { dot } from "../numbers/dot.ts";
import { type ShardRunner, shardRunner } from "../shards/shards.ts";
import { provenance } from "./classes.ts";
import { poolSentences } from "./pool.ts";
import type { Probe } from "./probe.ts";
import { sealed } from "./sealed.ts";
import {
  describeReading,
  readSentences,
  type Sentence,
  type SentenceOptions,
  sentenceFields,
  sentences,
} from "./sentences.ts";

/**
 * T and A: the value vector points along the probe's direction, or against it. P and N: the mean activation is positive, or
 * negative. TP and AN add to the concept, TN and AP subtract from it.
 */
export type NeuronGroup = "TP" | "TN" | "AP" | "AN";

/** Options of {@link fitNeurons}. */
export interface NeuronOptions extends SentenceOptions {
  /** The probe whose direction neurons are read along: `weight` is float32 `[hidden_size]`. */
  readonly probe: Pick<Probe, "weight" | "site" | "layer">;
  /** The texts over which activations are averaged, as sentences of other fits. */
  readonly texts: readonly Sentence[];
  /** How far the means are moved: by 1 − alpha for TP and AN, 1 + alpha for AP and TN. Default 0.05. */
  readonly alpha?: number;
  /**
   * Share of each group that is edited, default 0.5: of TP and AN the neurons whose value vectors point most along the direction
   * or against it, of AP and TN those that point least, as in the paper's code.
   */
  readonly share?: number;
  /** Display name of the bundle. */
  readonly name?: string;
  /** Where the texts came from, for the bundle's provenance. */
  readonly sources?: Readonly<Record<string, unknown>>;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
  /** Does the measuring elsewhere, such as on other machines. The result is the same on one kind of device. */
  readonly runner?: ShardRunner;
  /** Called with texts run so far, and in all. */
  onProgress?(done: number, total: number): void;
}

const probeWeight = fields<NeuronOptions["probe"]>(
  "a probe, as fitProbe and readProbe give it",
  "kept",
)({
  weight: needed(floats),
  site: needed(affineSite),
  layer: needed(whole({ least: 0 })),
});

export const neuronsDoor = entry(
  "fitNeurons",
  ["model", anyModel],
  ["source", modelSource],
  optionsOf(
    fields<NeuronOptions>()({
      probe: needed(probeWeight),
      texts: sentences,
      ...sentenceFields,
      alpha: finite(),
      share: finite({ least: 0, most: 1 }),
      name: text,
      sources: provenance,
      signal: abortSignal,
      runner: shardRunner,
      onProgress: callback<NonNullable<NeuronOptions["onProgress"]>>(),
    }),
  ),
);

export const valueVectorsDoor = entry(
  "readValueVectors",
  ["model", anyModel],
  ["source", modelSource],
  ["direction", floats],
  ["signal", optional(abortSignal)],
);

/** Sums over a group of neurons. */
export interface GroupSum {
  /** Neurons in the group. */
  readonly neurons: number;
  /** Number of them that the bundle sets. */
  readonly edited: number;
  /** Σ mean a_i·(v_i·ŵ). */
  readonly readout: number;
}

/** A neuron, read along the probe. */
export interface NeuronReading {
  /** Layer, from 0. */
  readonly layer: number;
  /** Index within `mlp_post`, from 0. */
  readonly neuron: number;
  /** Along or against the probe, active or not. */
  readonly group: NeuronGroup;
  /** Mean activation over the tokens of the texts. */
  readonly mean: number;
  /** Cosine between its value vector and the probe. */
  readonly cosine: number;
  /** mean · (v·ŵ): what it adds along the probe's unit direction on average. */
  readonly readout: number;
}

/** The bundle of {@link fitNeurons} and the groups behind it. */
export interface NeuronFit {
  /** One `neuron_scale` stage `neurons_mlp_post`: chosen neurons are set to their moved means. */
  readonly bundle: Bundle;
  /** Sums per group. */
  readonly groups: Readonly<Record<NeuronGroup, GroupSum>>;
  /** Neurons by size of readout, the largest first. */
  readonly strongest: readonly NeuronReading[];
}

const GROUPS: readonly NeuronGroup[] = ["TP", "TN", "AP", "AN"];
const SHOWN = 20;
const ID = "neurons_mlp_post";

/**
 * @param source the model's folder, as for `load`: value vectors are read from its files
 * @throws SluiceError `usage` without texts, for a probe of another width, or shares and alphas out of range; errors of reading
 *   the files throws; as `poolResponses`
 */
export async function fitNeurons(
  model: Model,
  source: string | URL | readonly File[],
  options: NeuronOptions,
): Promise<NeuronFit> {
  const [{ config }, , wanted] = neuronsDoor.read(model, source, options);
  const { probe, alpha = neuronDefaults.alpha, share = neuronDefaults.share, name, sources, texts } = wanted;
  if (probe.weight.length !== config.hidden_size) {
    throw new SluiceError(
      "usage",
      `The probe has ${probe.weight.length} weights, but this model's stream is ${config.hidden_size} wide`,
      { hint: "Fit a probe for this model." },
    );
  }
  const means = await meanActivations(model, wanted);
  const readings: NeuronReading[] = [];
  const vectors = await readValueVectors(model, source, probe.weight, wanted.signal);
  for (const [layer, { along, norms }] of vectors.entries()) {
    const active = means[layer] as Float64Array;
    along.forEach((projection, neuron) => {
      const mean = active[neuron] as number;
      const length = norms[neuron] as number;
      const group = `${projection > 0 ? "T" : "A"}${mean > 0 ? "P" : "N"}` as const;
      const cosine = length === 0 ? 0 : projection / length;
      readings.push({ layer, neuron, group, mean, cosine, readout: mean * projection });
    });
  }
  const edited = new Set(GROUPS.flatMap((group) => chosenOf(readings, group, share)));
  const width = config.intermediate_size;
  const tensors = new Map<string, StoredTensor>();
  for (let layer = 0; layer < config.num_hidden_layers; layer++) {
    const scale = new Float32Array(width).fill(1);
    const shift = new Float32Array(width);
    const own = readings.slice(layer * width, (layer + 1) * width);
    for (const reading of own) {
      if (!edited.has(reading)) continue;
      scale[reading.neuron] = 0;
      shift[reading.neuron] = reading.mean * (addsToConcept(reading) ? 1 - alpha : 1 + alpha);
    }
    const store = (tensor: string, values: Float32Array) =>
      tensors.set(layerTensorName(ID, layer, tensor), storeFloat32(values, [width]));
    store("scale", scale);
    store("shift", shift);
    store(
      "readout",
      Float32Array.from(own, ({ readout }) => readout),
    );
  }
  const sumOf = (group: NeuronGroup): GroupSum => {
    const own = readings.filter((reading) => reading.group === group);
    return {
      neurons: own.length,
      edited: own.filter((reading) => edited.has(reading)).length,
      readout: own.reduce((sum, { readout }) => sum + readout, 0),
    };
  };
  const groups = { TP: sumOf("TP"), TN: sumOf("TN"), AP: sumOf("AP"), AN: sumOf("AN") };
  const bundle: Bundle = {
    file: "the fitted bundle",
    manifest: {
      name: name ?? "neurons",
      base: baseOf(config),
      stages: [{ id: ID, kind: "neuron_scale", site: "mlp_post", layers: "all" }],
      fit: {
        method: "neuron groups",
        probe: `${probe.site}.${probe.layer}`,
        alpha,
        share,
        ...describeReading(wanted, "all tokens"),
        texts: texts.length,
        groups,
        ...sources,
      },
    },
    tensors,
    metadata: new Map(),
  };
  return {
    groups,
    strongest: [...readings].sort((a, b) => Math.abs(b.readout) - Math.abs(a.readout)).slice(0, SHOWN),
    bundle: await sealed(model, bundle, wanted.signal),
  };
}

/** What a layer's neurons write along a direction. */
export interface ValueReadouts {
  /** v_i·ŵ, `[intermediate_size]`. */
  readonly along: Float64Array;
  /** ‖v_i‖. */
  readonly norms: Float64Array;
}

/**
 * v_i·ŵ and ‖v_i‖ of every layer's neurons, from the model's files.
 * @param direction `[hidden_size]`, of any length but 0
 */
export async function readValueVectors(
  model: Model,
  source: string | URL | readonly File[],
  direction: ArrayLike<number>,
  signal?: AbortSignal,
): Promise<readonly ValueReadouts[]> {
  const [, , wanted] = valueVectorsDoor.read(model, source, direction, signal);
  const length = Math.sqrt(dot(wanted, wanted));
  if (!(length > 0)) throw new SluiceError("usage", "The probe's direction has no length");
  const unit = Float64Array.from(wanted, (value) => value / length);
  const files = await openModelFiles(source, { signal });
  try {
    const { checkpoint } = await openModel(files, () => undefined, signal);
    const floats = dequantized(checkpoint);
    const readouts: ValueReadouts[] = [];
    for (let layer = 0; layer < model.config.num_hidden_layers; layer++) {
      readouts.push(await readoutsOf(floats, outputProjection(model, layer), unit, signal));
    }
    return readouts;
  } finally {
    await files.close();
  }
}

async function readoutsOf(
  checkpoint: Checkpoint,
  weight: MatrixRef,
  unit: Float64Array,
  signal: AbortSignal | undefined,
): Promise<ValueReadouts> {
  const { tensor, transposed, tensorOutputs, first, outputs, inputs } = weight;
  const matrix = await readFloat64(checkpoint, tensor, signal);
  const along = new Float64Array(inputs);
  const norms = new Float64Array(inputs);
  for (let neuron = 0; neuron < inputs; neuron++) {
    let [projection, square] = [0, 0];
    for (let output = 0; output < outputs; output++) {
      const at = transposed ? neuron * tensorOutputs + first + output : (first + output) * inputs + neuron;
      const value = matrix[at] as number;
      projection += value * (unit[output] as number);
      square += value * value;
    }
    along[neuron] = projection;
    norms[neuron] = Math.sqrt(square);
  }
  return { along, norms };
}

function outputProjection({ internals }: Model, layer: number): MatrixRef {
  for (const node of internals.graph.nodes) {
    if (node.op !== "linear") continue;
    if (node.out.sites.some((site) => isSameSite(site, { kind: "mlp_out", layer }))) return node.weight;
  }
  throw new Error(`The graph has no output projection of the MLP of layer ${layer}`);
}

/** Mean activation of every neuron over all tokens of the texts, or the chosen ones, by layer, `[intermediate_size]`. */
async function meanActivations(model: Model, options: NeuronOptions): Promise<readonly Float64Array[]> {
  const { texts, signal, runner, onProgress } = options;
  if (texts.length === 0) throw new SluiceError("usage", "There is no text to average activations over");
  const { num_hidden_layers, intermediate_size } = model.config;
  const sites = Array.from({ length: num_hidden_layers }, (_, layer) => `mlp_post.${layer}`);
  const sums = sites.map(() => new Float64Array(intermediate_size));
  const { sentences: read, pooling } = readSentences(model, texts, options, "mean", "Text");
  // Of every text the same number of tokens is read, or all.
  const weights = read.map(({ tokens }) => (options.token === undefined ? tokens.length : 1));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const add = (text: number, responses: ReadonlyMap<string, Float32Array>): void => {
    const weight = (weights[text] as number) / total;
    sites.forEach((site, layer) => {
      const sum = sums[layer] as Float64Array;
      responses.get(site)?.forEach((value, i) => {
        sum[i] = (sum[i] as number) + weight * value;
      });
    });
  };
  await poolSentences(model, read, sites, pooling, add, {
    signal,
    runner,
    onProgress: (done, total) => onProgress?.(done, total),
  });
  return sums;
}

function addsToConcept({ group }: NeuronReading): boolean {
  return group === "TP" || group === "AN";
}

function chosenOf(readings: readonly NeuronReading[], group: NeuronGroup, share: number): readonly NeuronReading[] {
  const own = readings.filter((reading) => reading.group === group);
  const largestFirst = group === "TP" || group === "AN";
  own.sort((a, b) => (Math.abs(a.cosine) - Math.abs(b.cosine)) * (largestFirst ? -1 : 1));
  return own.slice(0, Math.round(share * own.length));
}
