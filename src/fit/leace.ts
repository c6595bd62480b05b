/**
 * LEACE (Belrose et al. 2023, arXiv 2306.03819): takes what a linear classifier could tell two classes by out of
 * activations, and changes them as little as that allows. `erasure.ts` has the mathematics.
 */
import { SluiceError } from "../errors.ts";
import { type StoredTensor, storeFloat32 } from "../formats/safetensors.ts";
import type { Bundle } from "../interventions/bundle.ts";
import { baseOf, compose } from "../interventions/compose.ts";
import type { AffineSite } from "../interventions/stage.ts";
import type { Model } from "../runtime/model.ts";
import { StreamedCovariance } from "./covariance.ts";
import { directionTarget } from "./direction-target.ts";
import type { DirectionOptions } from "./directions.ts";
import { type Erasure, eraseDifference } from "./erasure.ts";
import { poolResponses } from "./pool.ts";

export interface LeaceOptions extends DirectionOptions {
  /**
   * λ from 0 to 1: the covariance is taken as (1 − λ)·Σ + λ·diag(Σ). 0 is LEACE as published and needs more sentences than
   * the site is wide; `auto`, the default, estimates λ from the sentences, and is near 0 where there are many.
   */
  readonly shrinkage?: "auto" | number;
}

/** What was erased in a layer. */
export interface ErasedLayer extends Pick<Erasure, "shrinkage" | "moved" | "movedByAblation"> {
  readonly layer: number;
  /** ‖r⁺ − r⁻‖ at this layer, with the stages of earlier layers on. */
  readonly distance: number;
}

export interface LeaceFit {
  readonly bundle: Bundle;
  /** In ascending order. */
  readonly layers: readonly ErasedLayer[];
}

interface Measured {
  readonly positive: Float64Array;
  readonly negative: Float64Array;
  readonly all: StreamedCovariance;
}

/**
 * Fits one `affine` stage with id `leace_SITE` and method `low_rank`: tensors `v`, `u` `[1, d]` and `c` `[1]` per layer,
 * and the class means `mean_pos`, `mean_neg`. Each layer is fitted with the stages of earlier ones on, as the paper's
 * concept scrubbing does, so that with the whole bundle at strength 1 the classes' means at the last token are equal at
 * every layer; the sentences are run once for each layer. A model that has interventions keeps them in force, and the
 * bundle belongs behind them.
 * @throws SluiceError `usage` for an empty class, a site or layer that the model does not have, classes of equal means, a
 *   covariance without full rank; and what pooling throws
 */
export async function fitLeace(model: Model, options: LeaceOptions): Promise<LeaceFit> {
  const { site, layers } = directionTarget(model.config, options);
  const { shrinkage = "auto" } = options;
  if (shrinkage !== "auto" && !(shrinkage >= 0 && shrinkage <= 1)) {
    throw new SluiceError("usage", `A shrinkage of ${shrinkage} is not possible`, { hint: "It is 0 to 1, or auto." });
  }
  const tensors = new Map<string, StoredTensor>();
  const erased: ErasedLayer[] = [];
  let edited = model;
  for (const [round, layer] of layers.entries()) {
    const { all, positive, negative } = await measure(edited, `${site}.${layer}`, round, layers.length, options);
    const difference = positive.map((value, i) => value - (negative[i] as number));
    if (difference.every((value) => Math.fround(value) === 0)) {
      throw new SluiceError("usage", `The classes have equal means at ${site}.${layer}: there is nothing to erase`);
    }
    const erasure = eraseDifference(all, difference, shrinkage);
    if (!erasure) throw withoutFullRank(`${site}.${layer}`, all, shrinkage);
    const put = (name: string, values: ArrayLike<number>, shape: readonly number[]): void => {
      tensors.set(`leace_${site}.${layer}.${name}`, storeFloat32(Float32Array.from(values), shape));
    };
    const d = difference.length;
    const v = Float32Array.from(erasure.v);
    put("v", v, [1, d]);
    put("u", erasure.u, [1, d]);
    // Of v as it is stored: its rounding, times a mean far from the origin, would not be small.
    put("c", [v.reduce((sum, value, i) => sum + value * (all.mean[i] as number), 0)], [1]);
    put("mean_pos", positive, [d]);
    put("mean_neg", negative, [d]);
    const { moved, movedByAblation } = erasure;
    const distance = Math.hypot(...difference);
    erased.push({ layer, distance, shrinkage: erasure.shrinkage, moved, movedByAblation });
    if (round + 1 < layers.length) edited = withErasures(model, makeBundle(model, site, erased, tensors, options));
  }
  return { bundle: makeBundle(model, site, erased, tensors, options), layers: erased };
}

function withErasures(model: Model, bundle: Bundle): Model {
  const { stages } = compose(model.config, [{ bundle }]);
  return model.withStages({ stages: [...model.stages, ...stages], warnings: [] });
}

/** Means and covariance at the last token, summed in float64 as they come. */
async function measure(
  model: Model,
  site: string,
  round: number,
  rounds: number,
  { positive, negative, signal, onProgress }: LeaceOptions,
): Promise<Measured> {
  const width = model.config.hidden_size;
  const all = new StreamedCovariance(width);
  const count = positive.length + negative.length;
  const meanOf = async (sentences: LeaceOptions["positive"], before: number): Promise<Float64Array> => {
    const sum = new Float64Array(width);
    const add = (_: number, responses: ReadonlyMap<string, Float32Array>): void => {
      const response = responses.get(site) ?? new Float32Array(0);
      all.add(response);
      response.forEach((value, i) => (sum[i] = (sum[i] as number) + value));
    };
    await poolResponses(model, sentences, [site], "last", add, {
      signal,
      onProgress: (done) => onProgress?.(round * count + before + done, rounds * count),
    });
    return sum.map((value) => value / sentences.length);
  };
  const [plus, minus] = [await meanOf(positive, 0), await meanOf(negative, positive.length)];
  return { positive: plus, negative: minus, all };
}

function withoutFullRank(where: string, { count, mean }: StreamedCovariance, shrinkage: number | "auto"): SluiceError {
  return new SluiceError(
    "usage",
    `The covariance at ${where}, ${mean.length} wide, has no full rank with ${count} sentences and a shrinkage of ${shrinkage}`,
    { hint: `Give more than ${mean.length} different sentences, or a shrinkage above 0 (auto chooses it).` },
  );
}

function makeBundle(
  { config }: Model,
  site: AffineSite,
  erased: readonly ErasedLayer[],
  tensors: ReadonlyMap<string, StoredTensor>,
  { positive, negative, name = "leace", sources }: LeaceOptions,
): Bundle {
  const layers = erased.map(({ layer }) => layer);
  return {
    file: "the fitted bundle",
    manifest: {
      name,
      base: baseOf(config),
      stages: [{ id: `leace_${site}`, kind: "affine", method: "low_rank", site, layers }],
      fit: {
        method: "leace",
        pooling: "last token",
        sequential: true,
        n_positive: positive.length,
        n_negative: negative.length,
        shrinkage: erased.map(({ shrinkage }) => shrinkage),
        ...sources,
      },
    },
    tensors,
    metadata: new Map(),
  };
}
