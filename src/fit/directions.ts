/**
 * Directions from the means of two classes at the last token: affine concept editing (Marshall et al. 2024, arXiv
 * 2411.09003), directional ablation (Arditi et al. 2024, arXiv 2406.11717), contrastive activation addition (Rimsky et
 * al. 2023, arXiv 2312.06681), and least-squares concept erasure (leace.ts).
 */
import { SluiceError } from "../errors.ts";
import { type StoredTensor, storeFloat32 } from "../formats/safetensors.ts";
import type { Bundle } from "../interventions/bundle.ts";
import { baseOf } from "../interventions/compose.ts";
import type { AffineSite } from "../interventions/stage.ts";
import type { Model } from "../runtime/model.ts";
import { layersFrom, requireAffineSite, requireBothClasses } from "./classes.ts";
import { eraserOf, SecondMoments } from "./leace.ts";
import { poolResponses } from "./pool.ts";

export type DirectionMethod = "ace" | "ablation" | "addition" | "leace";

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
  /** Over both classes; only where they were asked for. */
  readonly moments: SecondMoments | undefined;
}

/** Second moments that are held at a time; of more layers they are measured one part after another. */
const MOST_MOMENT_BYTES = 512 << 20;

/**
 * Means of a site at the last token of each class's sentences, summed in float64 as they come.
 * @param withMoments also of the products of pairs of columns
 */
export async function classMeans(
  model: Model,
  site: AffineSite,
  layers: readonly number[],
  { positive, negative, signal, onProgress }: Pick<DirectionOptions, "positive" | "negative" | "signal" | "onProgress">,
  withMoments = false,
): Promise<readonly ClassMeans[]> {
  const moments = layers.map(() => (withMoments ? new SecondMoments(model.config.hidden_size) : undefined));
  const names = layers.map((layer) => `${site}.${layer}`);
  const total = positive.length + negative.length;
  const meansOf = async (sentences: readonly (readonly number[])[], before: number): Promise<Float64Array[]> => {
    const sums = names.map(() => new Float64Array(model.config.hidden_size));
    const add = (_: number, responses: ReadonlyMap<string, Float32Array>): void =>
      names.forEach((name, i) => {
        const sum = sums[i] as Float64Array;
        const response = responses.get(name) ?? new Float32Array(0);
        response.forEach((value, j) => (sum[j] = (sum[j] as number) + value));
        moments[i]?.add(response);
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
    moments: moments[i],
  }));
}

/** The means of all layers, of as many layers at a time as memory is meant for. */
async function* meansByPart(
  model: Model,
  method: DirectionMethod,
  site: AffineSite,
  layers: readonly number[],
  options: DirectionOptions,
): AsyncGenerator<ClassMeans> {
  const withMoments = method === "leace";
  const most = withMoments
    ? Math.max(1, Math.floor(MOST_MOMENT_BYTES / (8 * model.config.hidden_size ** 2)))
    : layers.length;
  const parts = Math.ceil(layers.length / most);
  for (let part = 0; part < parts; part++) {
    const own = layers.slice(part * most, (part + 1) * most);
    const onProgress = (done: number, total: number): void => options.onProgress?.(part * total + done, parts * total);
    yield* await classMeans(model, site, own, { ...options, onProgress }, withMoments);
  }
}

/**
 * Fits one `affine` stage with id `METHOD_SITE`: direction r⁺ − r⁻, and for ace the reference r⁻; for leace a projection of
 * rank 1. The class means are kept beside them as `mean_pos` and `mean_neg`.
 * @throws SluiceError `usage` for an empty class, a site or layer that the model does not have, classes of equal means
 */
export async function fitDirection(model: Model, method: DirectionMethod, options: DirectionOptions): Promise<Bundle> {
  const { config } = model;
  const { positive, negative, site = "resid_post", name, sources } = options;
  requireBothClasses(options);
  requireAffineSite(site);
  const layers = layersFrom(config, options.layers);
  const id = `${method}_${site}`;
  const tensors = new Map<string, StoredTensor>();
  const put = (layer: number, tensor: string, values: Float64Array): void => {
    tensors.set(`${id}.${layer}.${tensor}`, storeFloat32(Float32Array.from(values), [values.length]));
  };
  for await (const means of meansByPart(model, method, site, layers, options)) {
    const direction = means.positive.map((value, i) => value - (means.negative[i] as number));
    if (direction.every((value) => Math.fround(value) === 0)) {
      throw new SluiceError("usage", `The classes have equal means at ${site}.${means.layer}: there is no direction`);
    }
    if (means.moments) {
      const { v, u, c } = eraserOf(direction, means.moments);
      for (const [tensor, values] of [
        ["v", v],
        ["u", u],
      ] as const) {
        tensors.set(`${id}.${means.layer}.${tensor}`, storeFloat32(Float32Array.from(values), [1, values.length]));
      }
      put(means.layer, "c", Float64Array.of(c));
    } else put(means.layer, "direction", direction);
    if (method === "ace") put(means.layer, "reference", means.negative);
    put(means.layer, "mean_pos", means.positive);
    put(means.layer, "mean_neg", means.negative);
  }
  const stageMethod = {
    ace: "ace",
    ablation: "directional_ablation",
    addition: "addition",
    leace: "low_rank",
  } as const;
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
