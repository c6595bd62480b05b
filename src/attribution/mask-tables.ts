/** A mask as the kernels read it: values, what they replace at each destination, and by what. Sums are float64. */
import { SluiceError } from "../errors.ts";
import {
  type Destination,
  destinationName,
  listDestinations,
  listSources,
  sourceName,
  visibleSources,
} from "../interventions/edges.ts";
import type { Destinations, EdgeMaskStage } from "../interventions/stage.ts";
import type { ModelConfig } from "../model-config.ts";
import { ceil4 } from "../numbers/round-up.ts";

/** Values with their shape, row-major. */
export interface ShapedValues {
  /** The values; any typed array or list of numbers. */
  readonly data: ArrayLike<number>;
  /** Sizes of the dimensions, outermost first. */
  readonly shape: readonly number[];
}

/** A mask and what a cut source is replaced with; both in canonical order (`src/interventions/edges.ts`). */
export interface MaskValues {
  /** `[n_dst, n_src]`, in [0, 1]; entries that are not edges are ignored. Default: ones. */
  readonly mask?: ShapedValues | undefined;
  /** `[n_src, d]`. Default: zeros. */
  readonly constants?: ShapedValues | undefined;
  /** By class of destination; default: constants everywhere. */
  readonly replace?: Partial<EdgeMaskStage["replace"]> | undefined;
}

/** Classes of destinations, in the order of their replacements. */
export const destinationClasses = ["attn", "mlp", "logits"] as const;

export interface MaskTables {
  /** `[n_dst][n_src]`, 1 where there is no edge. */
  readonly values: Float32Array<ArrayBuffer>;
  /** κ `[n_dst][ceil4(d)]` */
  readonly kappa: Float32Array<ArrayBuffer>;
  /** repl by class, `[3][n_src][ceil4(d)]` */
  readonly replaced: Float32Array<ArrayBuffer>;
}

/** @throws SluiceError `usage` for the wrong shape, a mask outside [0, 1] or constants that are not finite */
export function maskTables(config: ModelConfig, kind: Destinations, given: MaskValues): MaskTables {
  const sources = listSources(config);
  const destinations = listDestinations(config, kind);
  const [n, d] = [sources.length, config.hidden_size];
  const stride = ceil4(d);
  const mask = checked("mask", given.mask, [destinations.length, n], "[destinations, sources]");
  const constants = checked("constants", given.constants, [n, d], "[sources, hidden_size]");
  const values = new Float32Array(destinations.length * n).fill(1);
  const kappa = new Float32Array(destinations.length * stride);
  for (const [index, destination] of destinations.entries()) {
    const sum = new Float64Array(d);
    const replaces = constants && given.replace?.[classOf(destination)] !== "zero";
    for (let s = 0; s < visibleSources(config, destination); s++) {
      const m = mask ? (mask[index * n + s] as number) : 1;
      if (!(m >= 0 && m <= 1)) {
        const edge = `${sourceName(sources[s] as (typeof sources)[number])} to ${destinationName(destination)}`;
        throw new SluiceError("usage", `The mask is ${m} on the edge from ${edge}; it must be from 0 to 1`);
      }
      values[index * n + s] = m;
      if (!replaces || m === 1) continue;
      for (let i = 0; i < d; i++) sum[i] = (sum[i] as number) + (1 - m) * (constants[s * d + i] as number);
    }
    kappa.set(sum, index * stride);
  }
  const replaced = new Float32Array(destinationClasses.length * n * stride);
  for (let i = 0; constants && i < constants.length; i++) {
    const value = constants[i] as number;
    const source = Math.floor(i / d);
    if (!Number.isFinite(value)) throw new SluiceError("usage", `constants hold ${value} for source ${source}`);
    for (const [c, name] of destinationClasses.entries()) {
      if (given.replace?.[name] !== "zero") replaced[(c * n + source) * stride + (i % d)] = value;
    }
  }
  return { values, kappa, replaced };
}

export function classOf({ kind }: Destination): (typeof destinationClasses)[number] {
  return kind === "mlp" || kind === "logits" ? kind : "attn";
}

/** The values, if they are as many as there must be. */
function checked(
  what: string,
  values: ShapedValues | undefined,
  shape: readonly [number, number],
  meaning: string,
): ArrayLike<number> | undefined {
  if (!values) return undefined;
  const fits = values.shape.length === 2 && values.shape.every((size, i) => size === shape[i]);
  if (!fits || values.data.length !== shape[0] * shape[1]) {
    throw new SluiceError(
      "usage",
      `${what} is [${values.shape.join(", ")}], and must be [${shape.join(", ")}] (${meaning}) for this model`,
    );
  }
  return values.data;
}
