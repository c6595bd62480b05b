/** An edge mask's forward sums, and the gradients of sources and of the mask: shaders/backward/mix.wgsl and mask_gradient*.wgsl. */
import type { Kernel } from "../kernel.ts";

export interface EdgeMaskShape {
  /** d */
  readonly width: number;
  /** All sources of the model. */
  readonly sources: number;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
}

/** What the sums of {@link maskMix} begin with: `args.begin`. */
export const mixBegin = { zero: 0, constant: 1, output: 2 } as const;

/**
 * output[o] = begin + Σ_i mask[weight + o·weight_out + i·weight_in]·input[i], rows of ceil4(d) floats. Args: `begin`
 * ({@link mixBegin}), `outputs`, `inputs`, `weight`, `weight_out`, `weight_in`, `constant` (row of `kappa` for output
 * 0), `stride_out` and `stride_in` (vec4s); `texts` (sequences that share a mask), `mask_stride` and `kappa_stride` (from
 * one mask, and its constants, to the next).
 */
export function maskMix({ width, maxRows }: EdgeMaskShape, outputs: number, inputs: number): Kernel {
  const d4 = Math.ceil(width / 4);
  return {
    name: `mask_mix_${width}_m${maxRows}`,
    shader: { entry: "backward/mix", constants: { D4: `${d4}u`, MAX_ROWS: `${maxRows}u` } },
    summation: "serial",
    workgroups: (rows) => [Math.ceil((d4 * rows) / 32), 1, Math.ceil(outputs / 4)],
    cost: ({ rows }) => ({
      flops: 2 * rows * outputs * inputs * width,
      bytes: 4 * rows * width * (Math.ceil(outputs / 4) * inputs + 2 * outputs),
    }),
  };
}

/**
 * ⟨gradient[D], written[s] − replaced[first_source + s]⟩ of each row into `output` ({@link maskProductBytes}). Args:
 * `destinations`, `sources`, `first_source`, `stride_dst` and `stride_src` (vec4s).
 */
export function maskProducts({ width, maxRows }: EdgeMaskShape, destinations: number, sources: number): Kernel {
  const tiles = Math.ceil(destinations / 4) * Math.ceil(sources / 4);
  return {
    name: `mask_gradient_${width}_m${maxRows}`,
    shader: { entry: "backward/mask_gradient", constants: { D4: `${Math.ceil(width / 4)}u`, MAX_ROWS: `${maxRows}u` } },
    summation: "vec4_serial",
    workgroups: (rows) => [Math.ceil((tiles * rows) / 16), 1, 1],
    cost: ({ rows }) => ({
      flops: 2 * rows * destinations * sources * width,
      bytes: 4 * rows * width * 12 * tiles,
    }),
  };
}

/** Bytes that {@link maskProducts} writes for that many rows. */
export function maskProductBytes(rows: number, destinations: number, sources: number): number {
  return rows * Math.ceil(destinations / 4) * Math.ceil(sources / 4) * 64;
}

/**
 * Adds up `products` over the rows, onto `output` [destinations][sources] of the whole model. Args: `destinations`,
 * `sources`, `first_destination`, `first_source`.
 */
export function maskProductSum(shape: EdgeMaskShape, destinations: number, sources: number): Kernel {
  return {
    name: `mask_gradient_sum_${shape.sources}_m${shape.maxRows}`,
    shader: {
      entry: "backward/mask_gradient_sum",
      constants: { SOURCES: `${shape.sources}u`, MAX_ROWS: `${shape.maxRows}u` },
    },
    summation: "serial",
    workgroups: () => [Math.ceil(sources / 32), destinations, 1],
    cost: ({ rows }) => ({
      flops: rows * destinations * sources,
      bytes: 4 * (rows + 2) * destinations * sources,
    }),
  };
}

/**
 * Adds up the rows of `input`, `count` blocks of rows of ceil4(d) floats, into rows of `output` from `first` on, onto what
 * stands there. Args: `count`, `first`, `stride` (vec4s between blocks).
 */
export function rowSums({ width, maxRows }: EdgeMaskShape, count: number): Kernel {
  const d4 = Math.ceil(width / 4);
  return {
    name: `row_sums_${width}_m${maxRows}`,
    shader: { entry: "backward/row_sums", constants: { D4: `${d4}u`, MAX_ROWS: `${maxRows}u` } },
    summation: "serial",
    workgroups: () => [Math.ceil(d4 / 32), count, 1],
    cost: ({ rows }) => ({ flops: rows * count * width, bytes: 4 * (rows + 2) * count * width }),
  };
}
