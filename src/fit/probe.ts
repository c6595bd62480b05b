/**
 * A linear probe: logistic regression on a site's mean over each sentence's tokens, or on what is chosen of them. The DPO studies (Lee et al. 2024, arXiv
 * 2401.01967; Yang et al. 2024, arXiv 2411.06424) read neurons along its direction; unlike in their code, padding is not part
 * of the mean.
 */

import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields, needed } from "../arguments/fields.ts";
import { floats, isOptions } from "../arguments/lists.ts";
import { Place } from "../arguments/place.ts";
import { either } from "../arguments/rule.ts";
import {
  signal as abortSignal,
  bytes,
  callback,
  fileName,
  finite,
  float32,
  nothing,
  oneOf,
  whole,
} from "../arguments/rules.ts";
import { probeDefaults } from "../defaults.ts";
import { SluiceError } from "../errors.ts";
import { parseSafetensors, storeFloat32, toFloat32, writeSafetensors } from "../formats/safetensors.ts";
import { duplicateKey } from "../formats/strict-json.ts";
import { affineSite } from "../interventions/arguments.ts";
import { ourSiteKind } from "../interventions/site-names.ts";
import { type AffineSite, affineSites } from "../interventions/stage.ts";
import { layersFrom } from "../model/layer-numbers.ts";
import type { Model } from "../model/model.ts";
import { model as anyModel } from "../model/model-argument.ts";
import { dot } from "../numbers/dot.ts";
import { holdOutShare } from "../numbers/hold-out.ts";
import { type ShardRunner, shardRunner } from "../shards/shards.ts";
import { show } from "../show.ts";
import { auroc } from "./auroc.ts";
import { type LabelledSentences, labelledFields, requireAffineSite, requireBothClasses } from "./classes.ts";
import { fitLogistic } from "./logistic.ts";
import { type PooledSentence, poolSentences } from "./pool.ts";
import { readClasses } from "./sentences.ts";

/** Options of {@link fitProbe}. */
export interface ProbeOptions extends LabelledSentences {
  /** Site to read; default `resid_post`. */
  readonly site?: AffineSite;
  /** Layer; default: the last. */
  readonly layer?: number;
  /** Weight of ½‖w‖² against the sum of losses; default 1. */
  readonly l2?: number;
  /** Share of each class that is held out to judge the probe; default 0.2. */
  readonly heldOut?: number;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
  /** Does the measuring elsewhere, such as on other machines. The result is the same on one kind of device. */
  readonly runner?: ShardRunner;
  /** Called with sentences run so far, and in all. */
  onProgress?(done: number, total: number): void;
}

export const probeDoor = entry(
  "fitProbe",
  ["model", anyModel],
  optionsOf(
    fields<ProbeOptions>()({
      ...labelledFields,
      site: affineSite,
      layer: whole({ least: 0 }),
      l2: finite({ above: 0 }),
      heldOut: finite({ least: 0, below: 1 }),
      signal: abortSignal,
      runner: shardRunner,
      onProgress: callback<NonNullable<ProbeOptions["onProgress"]>>(),
    }),
  ),
);

/** How well a probe separates held-out sentences; null if there were too few to hold any out. */
export interface ProbeReport {
  /** Number of positive sentences fitted. */
  readonly n_positive: number;
  /** Number of negative sentences fitted. */
  readonly n_negative: number;
  /** Number of held-out sentences, the share classified correctly, and their AUROC. */
  readonly held_out: { readonly n: number; readonly accuracy: number; readonly auroc: number } | null;
}

/** A linear classifier of a site's values, pooled over a sentence. */
export interface Probe extends ProbeReport {
  /** Site that it reads. */
  readonly site: AffineSite;
  /** Layer, from 0. */
  readonly layer: number;
  /** `[hidden_size]`; the positive class if weight·mean + bias > 0. */
  readonly weight: Float32Array;
  /** Log-odds if weight·mean is 0. */
  readonly bias: number;
}

const count = needed(whole({ least: 0 }));
const heldOutFields = fields<NonNullable<ProbeReport["held_out"]>>(
  "{ n, accuracy, auroc }",
  "kept",
)({
  n: count,
  accuracy: needed(finite({ least: 0, most: 1 })),
  auroc: needed(finite({ least: 0, most: 1 })),
});
const aboutFields = {
  site: needed(oneOf(affineSites)),
  layer: count,
  n_positive: count,
  n_negative: count,
  held_out: needed(either(nothing, heldOutFields)),
};
const probeFields = fields<Probe>(
  "a probe, as fitProbe and readProbe give it",
  "kept",
)({
  ...aboutFields,
  weight: needed(floats),
  bias: needed(float32),
});

export const writeProbeDoor = entry("writeProbe", ["probe", probeFields]);
export const readProbeDoor = entry("readProbe", ["file", bytes], ["where", fileName]);

/** The metadata entry that marks a probe's file. */
const METADATA = "sluice_probe";

/** @throws SluiceError `usage` for an empty class, a site or layer that the model does not have; as `poolResponses` */
export async function fitProbe(model: Model, options: ProbeOptions): Promise<Probe> {
  const [{ config }, wanted] = probeDoor.read(model, options);
  const { l2 = probeDefaults.l2, heldOut = 0.2, signal, runner, onProgress } = wanted;
  requireBothClasses(wanted);
  const site = requireAffineSite(ourSiteKind(config, wanted.site ?? "resid_post"));
  const [layer = 0] = layersFrom(config, [wanted.layer ?? model.config.num_hidden_layers - 1]);
  const name = `${site}.${layer}`;
  const { positive, negative, pooling } = readClasses(model, wanted, "mean");
  const total = positive.length + negative.length;
  const meansOf = async (sentences: readonly PooledSentence[], before: number): Promise<Float32Array[]> => {
    const rows: Float32Array[] = [];
    const take = (i: number, responses: ReadonlyMap<string, Float32Array>): void => {
      rows[i] = Float32Array.from(responses.get(name) ?? []);
    };
    await poolSentences(model, sentences, [name], pooling, take, {
      signal,
      runner,
      onProgress: (done) => onProgress?.(before + done, total),
    });
    return rows;
  };
  const classes = [await meansOf(positive, 0), await meansOf(negative, positive.length)] as const;
  const splits = [holdOutShare(classes[0], heldOut), holdOutShare(classes[1], heldOut)] as const;
  const [plus, minus] = [splits[0].fitted, splits[1].fitted];
  if (plus.length === 0 || minus.length === 0) {
    throw new SluiceError("usage", `Nothing is left to fit if ${heldOut} of each class is held out`, {
      hint: "Give more sentences, or hold out less.",
    });
  }
  const { weight, bias } = fitLogistic([...plus, ...minus], [...plus.map(() => true), ...minus.map(() => false)], {
    l2,
  });
  const scoresOf = (rows: readonly Float32Array[]) => Float32Array.from(rows, (row) => dot(row, weight) + bias);
  const scores = [scoresOf(splits[0].held), scoresOf(splits[1].held)] as const;
  return {
    site,
    layer,
    weight: Float32Array.from(weight),
    bias: Math.fround(bias),
    n_positive: plus.length,
    n_negative: minus.length,
    held_out: scores.every(({ length }) => length > 0) ? judge(...scores) : null,
  };
}

function judge(positive: Float32Array, negative: Float32Array): NonNullable<ProbeReport["held_out"]> {
  const n = positive.length + negative.length;
  const right = positive.filter((score) => score > 0).length + negative.filter((score) => score <= 0).length;
  return { n, accuracy: right / n, auroc: auroc(positive, negative) };
}

/** A probe as a safetensors file: `weight` `[d]` and `bias` `[1]`, the rest in its metadata. */
export function writeProbe(probe: Probe): Uint8Array<ArrayBuffer> {
  const [{ weight, bias, ...about }] = writeProbeDoor.read(probe);
  const tensors = new Map([
    ["weight", storeFloat32(weight, [weight.length])],
    ["bias", storeFloat32(Float32Array.of(bias), [1])],
  ]);
  return writeSafetensors(tensors, { [METADATA]: JSON.stringify(about) });
}

/** @throws SluiceError `bad_file` for anything that `writeProbe` did not write */
export function readProbe(file: Uint8Array, where: string): Probe {
  const [stored, name] = readProbeDoor.read(file, where);
  const { tensors, metadata } = parseSafetensors(stored, name);
  const [weight, bias] = [tensors.get("weight"), tensors.get("bias")];
  const about = metadata.get(METADATA);
  if (!weight || !bias || about === undefined) {
    throw new SluiceError("bad_file", `${name} is not a probe`, { hint: "fitProbe and writeProbe make one." });
  }
  if (weight.shape.length !== 1 || bias.shape.length !== 1 || bias.shape[0] !== 1) {
    const shapes = `weight is ${show(weight.shape)} and bias ${show(bias.shape)}`;
    throw new SluiceError("bad_file", `${name}: a probe has a weight per value of the stream, and one bias; ${shapes}`);
  }
  const numbers = { weight: toFloat32(weight), bias: toFloat32(bias)[0] };
  return probeFields.read({ ...parseAbout(about, name), ...numbers }, new Place(name, "probe", "bad_file"));
}

function parseAbout(about: string, where: string): object {
  let json: unknown;
  try {
    json = JSON.parse(about);
  } catch (cause) {
    throw new SluiceError("bad_file", `${where}: its description of the probe is not JSON`, { cause });
  }
  const twice = duplicateKey(about);
  if (twice !== null)
    throw new SluiceError("bad_file", `${where}: its description of the probe has ${show(twice)} twice`);
  // Earlier versions wrote no counts.
  if (isOptions(json)) return { n_positive: 0, n_negative: 0, held_out: null, ...json };
  throw new SluiceError("bad_file", `${where} does not name the probe's site and layer`);
}
