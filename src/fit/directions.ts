/**
 * Directions from the means of two classes at the last token: affine concept editing (Marshall et al. 2024, arXiv
 * 2411.09003), directional ablation (Arditi et al. 2024, arXiv 2406.11717) and contrastive activation addition (Rimsky et
 * al. 2023, arXiv 2312.06681).
 */
import { SluiceError } from "../errors.ts";
import { type StoredTensor, storeFloat32 } from "../formats/safetensors.ts";
import type { Bundle } from "../interventions/bundle.ts";
import { baseOf } from "../interventions/compose.ts";
import type { AffineSite } from "../interventions/stage.ts";
import type { Model } from "../runtime/model.ts";
import { directionTarget } from "./direction-target.ts";
import { poolResponses } from "./pool.ts";

export type DirectionMethod = "ace" | "ablation" | "addition";

export interface DirectionOptions {
  readonly positive: readonly (readonly number[])[];
  readonly negative: readonly (readonly number[])[];
  /** Default `resid_post`. */
  readonly site?: AffineSite;
  /** Default: all. */
  readonly layers?: "all" | readonly number[];
  readonly name?: string;
  readonly sources?: Readonly<Record<string, unknown>>;
  readonly signal?: AbortSignal;
  onProgress?(done: number, total: number): void;
}

/** Means of a class at a layer, float64. */
export interface ClassMeans {
  readonly layer: number;
  readonly positive: Float64Array;
  readonly negative: Float64Array;
}

/** Means of a site at the last token of each class's sentences, summed in float64 as they come. */
export async function classMeans(
  model: Model,
  site: AffineSite,
  layers: readonly number[],
  { positive, negative, signal, onProgress }: Pick<DirectionOptions, "positive" | "negative" | "signal" | "onProgress">,
): Promise<readonly ClassMeans[]> {
  const names = layers.map((layer) => `${site}.${layer}`);
  const total = positive.length + negative.length;
  const meansOf = async (sentences: readonly (readonly number[])[], before: number): Promise<Float64Array[]> => {
    const sums = names.map(() => new Float64Array(model.config.hidden_size));
    const add = (_: number, responses: ReadonlyMap<string, Float32Array>): void =>
      names.forEach((name, i) => {
        const sum = sums[i] as Float64Array;
        responses.get(name)?.forEach((value, j) => (sum[j] = (sum[j] as number) + value));
      });
    await poolResponses(model, sentences, names, "last", add, {
      signal,
      onProgress: (done) => onProgress?.(before + done, total),
    });
    return sums.map((sum) => sum.map((value) => value / sentences.length));
  };
  const plus = await meansOf(positive, 0);
  const minus = await meansOf(negative, positive.length);
  return layers.map((layer, i) => ({
    layer,
    positive: plus[i] as Float64Array,
    negative: minus[i] as Float64Array,
  }));
}

/**
 * Fits one `affine` stage with id `METHOD_SITE`: direction r⁺ − r⁻, and for ace the reference r⁻. The class means are kept
 * beside them as `mean_pos` and `mean_neg`.
 * @throws SluiceError `usage` for an empty class, a site or layer that the model does not have, classes of equal means
 */
export async function fitDirection(model: Model, method: DirectionMethod, options: DirectionOptions): Promise<Bundle> {
  const { config } = model;
  const { positive, negative, name, sources } = options;
  const { site, layers } = directionTarget(config, options);
  const id = `${method}_${site}`;
  const tensors = new Map<string, StoredTensor>();
  const put = (layer: number, tensor: string, values: Float64Array): void => {
    tensors.set(`${id}.${layer}.${tensor}`, storeFloat32(Float32Array.from(values), [values.length]));
  };
  for (const means of await classMeans(model, site, layers, options)) {
    const direction = means.positive.map((value, i) => value - (means.negative[i] as number));
    if (direction.every((value) => Math.fround(value) === 0)) {
      throw new SluiceError("usage", `The classes have equal means at ${site}.${means.layer}: there is no direction`);
    }
    put(means.layer, "direction", direction);
    if (method === "ace") put(means.layer, "reference", means.negative);
    put(means.layer, "mean_pos", means.positive);
    put(means.layer, "mean_neg", means.negative);
  }
  const stageMethod = { ace: "ace", ablation: "directional_ablation", addition: "addition" } as const;
  return {
    file: "the fitted bundle",
    manifest: {
      name: name ?? method,
      base: baseOf(config),
      stages: [{ id, kind: "affine", method: stageMethod[method], site, layers }],
      fit: {
        method,
        pooling: "last token",
        n_positive: positive.length,
        n_negative: negative.length,
        ...sources,
      },
    },
    tensors,
    metadata: new Map(),
  };
}
