/**
 * How matrices that a file holds quantised lie on the GPU, beside q8 and q4 (quantized-block.ts): codes of 4 or 8 bits,
 * and scales, most with offsets, per group of inputs, w = code·scale + offset. Scales and offsets are kept in the float
 * type that the file has, so that every weight is what the file says.
 */
import type { BlockFormat, QuantFormat } from "../model-config.ts";
import type { StoredDtype } from "./checkpoint.ts";
import type { Coding } from "./quantized-matrix.ts";

/** What a block format's strips hold. */
export interface BlockLayout {
  /** Bits that a code takes. */
  readonly bits: 4 | 8;
  /** Inputs that share a scale. */
  readonly group: 16 | 32 | 64;
  readonly scales: StoredDtype;
  readonly offsets: boolean;
  /** What is added to a signed code, so that it is stored unsigned. */
  readonly zero: (coding: Coding) => number;
}

const affine = (bits: 4 | 8, scales: StoredDtype, group: BlockLayout["group"] = 32): BlockLayout => ({
  bits,
  group,
  scales,
  offsets: true,
  zero: zeroOf,
});

const LAYOUTS: Readonly<Record<BlockFormat, BlockLayout>> = {
  a4_f16: affine(4, "F16"),
  a4_bf16: affine(4, "BF16"),
  a4_f32: affine(4, "F32"),
  a8_f16: affine(8, "F16"),
  a8_bf16: affine(8, "BF16"),
  a8_f32: affine(8, "F32"),
  a4_f16_by64: affine(4, "F16", 64),
  a4_bf16_by64: affine(4, "BF16", 64),
  a8_f16_by64: affine(8, "F16", 64),
  a8_bf16_by64: affine(8, "BF16", 64),
  a8_f32_by16: affine(8, "F32", 16),
  s6_f32_by16: { bits: 8, group: 16, scales: "F32", offsets: false, zero: () => 32 },
};

export function isBlockFormat(format: string): format is BlockFormat {
  return Object.hasOwn(LAYOUTS, format);
}

export function blockLayout(format: BlockFormat): BlockLayout {
  return LAYOUTS[format];
}

/** The code that stands for 0 if the signed codes of a matrix are stored unsigned; 0 for unsigned ones. */
export function zeroOf({ bits, signed }: Coding): number {
  return signed ? 2 ** (bits - 1) : 0;
}

/** Bytes of one strip of a matrix with `k` inputs, a multiple of 32 and of the format's group. */
export function blockStripBytes(k: number, format: BlockFormat): number {
  const { bits, group, scales, offsets } = LAYOUTS[format];
  return (k * bits) / 2 + (k / group) * 4 * (offsets ? 2 : 1) * (scales === "F32" ? 4 : 2);
}

/**
 * The smallest format that holds matrices of all these codings exactly, side by side in one strip; undefined: only
 * floats do.
 */
export function commonFormat(codings: readonly Coding[]): BlockFormat | QuantFormat | undefined {
  const signed = codings.some((coding) => coding.signed);
  const unsigned = codings.some((coding) => !coding.signed);
  const bits = Math.max(...codings.map((coding) => coding.bits)) > 4 ? 8 : 4;
  const by16 = codings.filter(({ group }) => group === 16);
  if (by16.length > 0) {
    // A product of 8 bits and a float32 scale may round before the offset is added.
    if (codings.some((coding) => coding.signed && coding.bits === 8 && coding.scales === "F32")) return undefined;
    if (by16.length === codings.length && !unsigned && codings.every((coding) => coding.bits === 6))
      return "s6_f32_by16";
    return "a8_f32_by16";
  }
  const [first, ...others] = new Set(codings.map(({ scales }) => scales));
  const scales = first !== undefined && others.length === 0 ? first : "F32";
  if (!unsigned && scales === "F16") return bits === 4 ? "q4" : "q8";
  // An offset of -128 scales may leave float16.
  if (signed || scales === "F32") return `a${bits}_f32`;
  const format = `a${bits}_${scales === "F16" ? "f16" : "bf16"}` as const;
  return codings.every(({ group }) => group >= 64) ? `${format}_by64` : format;
}
