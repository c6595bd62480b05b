/**
 * Directions from the means of two classes at the last token, or a chosen one: affine concept editing (Marshall et al. 2024, arXiv
 * 2411.09003), directional ablation (Arditi et al. 2024, arXiv 2406.11717), contrastive activation addition (Rimsky et
 * al. 2023, arXiv 2312.06681), and least-squares concept erasure (erasure.ts).
 */

import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { either } from "../arguments/rule.ts";
import { signal as abortSignal, callback, finite, flag, oneOf, text } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import { type StoredTensor, storeFloat32 } from "../formats/safetensors.ts";
import { affineSite } from "../interventions/arguments.ts";
import type { Bundle } from "../interventions/bundle-types.ts";
import { baseOf, compose } from "../interventions/compose.ts";
import { ourSiteKind } from "../interventions/site-names.ts";
import type { AffineSite } from "../interventions/stage.ts";
import { layerTensorName } from "../interventions/tensor-names.ts";
import { layerNumbers, layersFrom } from "../model/layer-numbers.ts";
import type { Model } from "../model/model.ts";
import { model as anyModel } from "../model/model-argument.ts";
import { type ShardRunner, shardRunner } from "../shards/shards.ts";
import {
  type LabelledSentences,
  labelledFields,
  provenance,
  requireAffineSite,
  requireBothClasses,
  responseStore,
} from "./classes.ts";
import { StreamedCovariance } from "./covariance.ts";
import { type Erasure, eraseDifference } from "./erasure.ts";
import { requireOneLayer, takenEverywhere } from "./everywhere.ts";
import type { PooledSentence } from "./pool.ts";
import { Measurement, type ResponseStore } from "./responses.ts";
import { sealed } from "./sealed.ts";
import { describeReading, type ReadClasses, readClasses } from "./sentences.ts";

/**
 * `ace` sets the coordinate along the direction, `ablation` removes it, `addition` adds the direction, `leace` erases
 * what a linear classifier could use.
 */
export type DirectionMethod = "ace" | "ablation" | "addition" | "leace";

/** Options of {@link fitDirection}. */
export interface DirectionOptions extends LabelledSentences {
  /** Default `resid_post`. */
  readonly site?: AffineSite;
  /** Default: all. */
  readonly layers?: "all" | readonly number[];
  /**
   * ablation: takes one layer's direction out of everything that writes to the stream, the embedding and every layer's
   * attention and MLP, so that no layer's stream has a component along it. `layers` names the one layer.
   */
  readonly everywhere?: boolean;
  /**
   * leace: λ from 0 to 1; the covariance is replaced by (1 − λ)·Σ + λ·diag(Σ). 0 is LEACE as published and needs more sentences
   * than the site is wide; `auto`, the default, estimates λ from the sentences; it is near 0 if there are many.
   */
  readonly shrinkage?: "auto" | number;
  /**
   * leace: fits each layer as if it were the only one edited. Default: with the stages of earlier layers on, as the paper's
   * concept scrubbing does, so that the classes' means are equal at every layer of the bundle; the sentences are then run
   * once per layer.
   */
  readonly alone?: boolean;
  /** Display name of the bundle. */
  readonly name?: string;
  /** Where the sentences came from, for the bundle's provenance. */
  readonly sources?: Readonly<Record<string, unknown>>;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
  /** Keeps the measurements of each sentence, so that an interrupted fit can continue. */
  readonly store?: ResponseStore;
  /** Does the measuring elsewhere, such as on other machines. The result is the same on one kind of device. */
  readonly runner?: ShardRunner;
  /**
   * Called with sentences done so far, and in all.
   * @param kept sentences of those done that an interrupted fit had measured
   */
  onProgress?(done: number, total: number, kept: number): void;
}

/** The rules of {@link DirectionOptions}. */
export const directionFields = {
  ...labelledFields,
  site: affineSite,
  layers: layerNumbers,
  everywhere: flag,
  shrinkage: either(oneOf(["auto"]), finite({ least: 0, most: 1 })),
  alone: flag,
  name: text,
  sources: provenance,
  signal: abortSignal,
  store: responseStore,
  runner: shardRunner,
  onProgress: callback<NonNullable<DirectionOptions["onProgress"]>>(),
};

export const directionMethod = oneOf<DirectionMethod>(["ace", "ablation", "addition", "leace"]);

export const directionDoor = entry(
  "fitDirection",
  ["model", anyModel],
  ["method", directionMethod],
  optionsOf(fields<DirectionOptions>()(directionFields)),
);

/** Means of a class at a layer, float64. */
export interface ClassMeans {
  readonly layer: number;
  readonly positive: Float64Array;
  readonly negative: Float64Array;
  /** Covariance over both classes, if requested. */
  readonly spread: StreamedCovariance | undefined;
}

/** Covariances held at a time; more layers are measured in several parts. */
const MOST_SPREAD_BYTES = 512 << 20;

export interface MeansProgress {
  /** The list of rows that these belong to; default: they are measured alone and not kept. */
  readonly measurement?: Measurement;
  /** Called when rows arrive. */
  onRows?(): void;
}

/**
 * Means of a site over each class's sentences, at what is read of them, summed in float64 as they come.
 * @param withSpread with the covariance over both
 */
export async function classMeans(
  model: Model,
  site: AffineSite,
  layers: readonly number[],
  { positive, negative, pooling }: ReadClasses,
  signal: AbortSignal | undefined,
  withSpread = false,
  { measurement, onRows }: MeansProgress = {},
): Promise<readonly ClassMeans[]> {
  const width = model.config.hidden_size;
  const spreads = layers.map(() => (withSpread ? new StreamedCovariance(width) : undefined));
  const names = layers.map((layer) => `${site}.${layer}`);
  const measured = measurement ?? (await Measurement.begin([], undefined));
  const meansOf = async (sentences: readonly PooledSentence[]): Promise<Float64Array[]> => {
    const sums = names.map(() => new Float64Array(width));
    for await (const rows of measured.run(model, sentences, names, pooling, signal)) {
      for (const row of rows) {
        sums.forEach((sum, i) => {
          const response = row.subarray(i * width, (i + 1) * width);
          response.forEach((value, j) => (sum[j] = (sum[j] as number) + value));
          spreads[i]?.add(response);
        });
      }
      onRows?.();
    }
    return sums.map((sum) => sum.map((value) => value / sentences.length));
  };
  const plus = await meansOf(positive);
  const minus = await meansOf(negative);
  return layers.map((layer, i) => ({
    layer,
    positive: plus[i] as Float64Array,
    negative: minus[i] as Float64Array,
    spread: spreads[i],
  }));
}

/**
 * The means of all layers: as many at a time as memory allows, or one by one with earlier layers edited.
 * @param editedBy the model with these layers edited; they were yielded before
 */
async function* meansByPart(
  model: Model,
  method: DirectionMethod,
  site: AffineSite,
  layers: readonly number[],
  classes: ReadClasses,
  options: DirectionOptions,
  editedBy: (layers: readonly number[]) => Model,
): AsyncGenerator<ClassMeans> {
  const withSpread = method === "leace";
  const sequential = withSpread && !options.alone;
  const inMemory = Math.floor(MOST_SPREAD_BYTES / (4 * model.config.hidden_size ** 2));
  const most = sequential ? 1 : withSpread ? Math.max(1, inMemory) : layers.length;
  const parts = Array.from({ length: Math.ceil(layers.length / most) }, (_, i) =>
    layers.slice(i * most, (i + 1) * most),
  );
  const rows = classes.positive.length + classes.negative.length;
  const measurement = await Measurement.begin(
    parts.map((own) => ({ rows, width: own.length * model.config.hidden_size })),
    options.store,
    options.runner,
  );
  const onRows = (): void => options.onProgress?.(measurement.done, parts.length * rows, measurement.kept);
  for (const [part, own] of parts.entries()) {
    const current = sequential && part > 0 ? editedBy(layers.slice(0, part)) : model;
    yield* await classMeans(current, site, own, classes, options.signal, withSpread, { measurement, onRows });
  }
}

/**
 * Fits one `affine` stage with id `METHOD_SITE`: direction r⁺ − r⁻, and for ace the reference r⁻; for leace a projection of
 * rank 1, `low_rank`. The class means are stored as `mean_pos` and `mean_neg`. With `everywhere` there are three stages,
 * `ablation_resid_pre`, `ablation_attn_out` and `ablation_mlp_out`. A model with interventions keeps them in force, and the
 * bundle is to be applied after them.
 * @throws SluiceError `usage` for an empty class, a site or layer that the model does not have, classes of equal means, a
 *   covariance without full rank; `everywhere` for another method or several layers; errors of reading sentences and of pooling
 */
export async function fitDirection(model: Model, method: DirectionMethod, options: DirectionOptions): Promise<Bundle> {
  return sealed(model, await measureDirection(model, method, options), options.signal);
}

/** {@link fitDirection} without checks, for fits that go on from its bundle. @internal */
export async function measureDirection(
  model: Model,
  method: DirectionMethod,
  options: DirectionOptions,
): Promise<Bundle> {
  const [{ config }, , wanted] = directionDoor.read(model, method, options);
  const { site: named = "resid_post", shrinkage = "auto" } = wanted;
  requireBothClasses(wanted);
  const site = requireAffineSite(ourSiteKind(config, named));
  const layers = layersFrom(config, wanted.layers);
  if (wanted.everywhere) requireOneLayer(method, layers);
  const id = `${method}_${site}`;
  const tensors = new Map<string, StoredTensor>();
  const erased: ErasedLayer[] = [];
  const editedBy = (done: readonly number[]): Model => {
    const bundle = makeBundle(model, method, site, done, tensors, erased, wanted);
    return model.withStages({
      stages: [...model.stages, ...compose(config, [{ bundle }]).stages],
      warnings: [],
    });
  };
  const classes = readClasses(model, wanted, "last");
  for await (const means of meansByPart(model, method, site, layers, classes, wanted, editedBy)) {
    const { layer, spread } = means;
    const direction = means.positive.map((value, i) => value - (means.negative[i] as number));
    if (direction.every((value) => Math.fround(value) === 0)) {
      throw new SluiceError("usage", `The classes have equal means at ${site}.${layer}: there is no direction`);
    }
    const put = (tensor: string, values: ArrayLike<number>, shape: readonly number[] = [values.length]): void => {
      tensors.set(layerTensorName(id, layer, tensor), storeFloat32(Float32Array.from(values), shape));
    };
    if (spread) {
      const erasure = eraseDifference(spread, direction, shrinkage);
      if (!erasure) throw withoutFullRank(`${site}.${layer}`, spread, shrinkage);
      const v = Float32Array.from(erasure.v);
      put("v", v, [1, v.length]);
      put("u", erasure.u, [1, v.length]);
      // From v as stored in float32: its rounding error times a mean far from the origin would not be small.
      put("c", [v.reduce((sum, value, i) => sum + value * (spread.mean[i] as number), 0)]);
      const { moved, movedByAblation } = erasure;
      erased.push({ layer, shrinkage: erasure.shrinkage, moved, moved_by_ablation: movedByAblation });
    } else put("direction", direction);
    if (method === "ace") put("reference", means.negative);
    put("mean_pos", means.positive);
    put("mean_neg", means.negative);
  }
  const bundle = makeBundle(model, method, site, layers, tensors, erased, wanted);
  return wanted.everywhere ? takenEverywhere(bundle, config, layers[0] as number) : bundle;
}

/** Provenance of an erased layer. */
interface ErasedLayer extends Pick<Erasure, "shrinkage" | "moved"> {
  readonly layer: number;
  readonly moved_by_ablation: number;
}

function withoutFullRank(where: string, { count, mean }: StreamedCovariance, shrinkage: "auto" | number): SluiceError {
  return new SluiceError(
    "usage",
    `The covariance at ${where}, ${mean.length} wide, does not have full rank with ${count} sentences and a shrinkage of ${shrinkage}`,
    { hint: `Give more than ${mean.length} different sentences, or a shrinkage above 0 (auto chooses it).` },
  );
}

const STAGE_METHODS = {
  ace: "ace",
  ablation: "directional_ablation",
  addition: "addition",
  leace: "low_rank",
} as const;

function makeBundle(
  { config }: Model,
  method: DirectionMethod,
  site: AffineSite,
  layers: readonly number[],
  tensors: ReadonlyMap<string, StoredTensor>,
  erased: readonly ErasedLayer[],
  options: DirectionOptions,
): Bundle {
  const { positive, negative, alone = false, name = method, sources } = options;
  return {
    file: "the fitted bundle",
    manifest: {
      name,
      base: baseOf(config),
      stages: [{ id: `${method}_${site}`, kind: "affine", method: STAGE_METHODS[method], site, layers }],
      fit: {
        method,
        ...describeReading(options, "last token"),
        n_positive: positive.length,
        n_negative: negative.length,
        ...(method === "leace" && { sequential: !alone, erased }),
        ...sources,
      },
    },
    tensors,
    metadata: new Map(),
  };
}
