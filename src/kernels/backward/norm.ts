/** Norms of the inputs of an edge mask's destinations, and their gradient: shaders/backward/norm.wgsl. */
import type { Kernel } from "../kernel.ts";

export interface VariantNormShape {
  readonly kind: "layer" | "rms";
  /** d */
  readonly width: number;
  /** MAX_ROWS of the step uniform. */
  readonly maxRows: number;
}

/**
 * Norms `variants` × rows. Args: `gain`, `bias` (vec4s of params; RMS norm takes any), `stride` (vec4s from one variant
 * to the next), `eps`. `direction`: `forward` writes y from `input`, `gradient` writes dx from `input` and dy.
 */
export function variantNorm(shape: VariantNormShape, direction: "forward" | "gradient", variants: number): Kernel {
  const { kind, width, maxRows } = shape;
  const gradient = direction === "gradient";
  return {
    name: `variant_norm_${direction}_${kind}_${width}_m${maxRows}`,
    shader: {
      entry: "backward/norm",
      conditions: { layer: kind === "layer", gradient },
      constants: { D: `${width}u`, D4: `${Math.ceil(width / 4)}u`, MAX_ROWS: `${maxRows}u` },
    },
    summation: "vec4_serial",
    workgroups: (rows) => [Math.ceil(rows / 4), variants, 1],
    cost: ({ rows }) => ({
      flops: rows * variants * width * (gradient ? 18 : 7),
      bytes: 4 * rows * variants * width * (gradient ? 3 : 2),
    }),
  };
}
