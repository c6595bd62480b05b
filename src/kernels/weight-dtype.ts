/** How matrices lie in GPU memory, as kernels read them (shaders/lib/weights.wgsl). */

import type { BlockFormat, QuantFormat } from "../model-config.ts";

/** Quantised weights, beside floats. */
type QuantisedDtype = QuantFormat | BlockFormat;

/**
 * How a matrix lies in GPU memory, in strips (src/formats/strips.ts, quantized-strips.ts, ready-strips.ts); 16-bit types and
 * quantised weights are widened as they are read.
 */
export type WeightDtype = "f32" | "f16" | "bf16" | QuantisedDtype;

interface Storage {
  /** Bytes of one weight, with its part in the scale and the offset. */
  readonly bytes: number;
  /** Conditions of the shaders that read it, next to `quantised`. */
  readonly conditions: readonly string[];
}

const affine = (bits: 4 | 8, scales: "f16" | "bf16" | "f32", group: 16 | 32 | 64 = 32): Storage => ({
  bytes: bits / 8 + (scales === "f32" ? 8 : 4) / group,
  conditions: [`a${bits}`, `scale_${scales}`, ...(group === 32 ? [] : [`by${group}`])],
});

const QUANTISED: Readonly<Record<QuantisedDtype, Storage>> = {
  q8: { bytes: 1 + 2 / 32, conditions: ["q8"] },
  q4: { bytes: 0.5 + 2 / 32, conditions: ["q4"] },
  a4_f16: affine(4, "f16"),
  a4_bf16: affine(4, "bf16"),
  a4_f32: affine(4, "f32"),
  a8_f16: affine(8, "f16"),
  a8_bf16: affine(8, "bf16"),
  a8_f32: affine(8, "f32"),
  a4_f16_by64: affine(4, "f16", 64),
  a4_bf16_by64: affine(4, "bf16", 64),
  a8_f16_by64: affine(8, "f16", 64),
  a8_bf16_by64: affine(8, "bf16", 64),
  a8_f32_by16: affine(8, "f32", 16),
  s6_f32_by16: { bytes: 1 + 4 / 16, conditions: ["a8", "scale_f32", "by16", "centred"] },
};

const STORAGE: Readonly<Record<WeightDtype, Storage>> = {
  f32: { bytes: 4, conditions: ["f32"] },
  f16: { bytes: 2, conditions: ["f16"] },
  bf16: { bytes: 2, conditions: ["bf16"] },
  ...QUANTISED,
};

export const weightDtypes = Object.keys(STORAGE) as readonly WeightDtype[];

/** Whether weights are in blocks of 32 inputs. */
export function isQuantised(dtype: WeightDtype): boolean {
  return Object.hasOwn(QUANTISED, dtype);
}

/** Bytes of one weight, with its part in the scale and the offset. */
export function weightBytes(dtype: WeightDtype): number {
  return STORAGE[dtype].bytes;
}

/** Conditions of a shader that reads such weights. */
export function weightConditions(dtype: WeightDtype): Readonly<Record<string, boolean>> {
  const conditions = STORAGE[dtype].conditions.map((name) => [name, true] as const);
  return { ...Object.fromEntries(conditions), ...(isQuantised(dtype) && { quantised: true }) };
}
