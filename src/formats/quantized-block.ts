/**
 * Quantised weights: in each output's weights, 32 neighbouring inputs share a float16 scale d, and each is stored as a
 * whole number q, so that w ≈ q·d. A product of q and d has at most 19 significant bits: it is exact in float32.
 *
 * q8: |q| ≤ 127, d = max|w| / 127 rounded up, so no weight is off by more than d / 2.
 * q4: -8 ≤ q ≤ 7. The largest weight may be at -8 or beyond the end; of several scales, the one with the smallest sum of
 * squared differences is used.
 */
import { SluiceError } from "../errors.ts";
import type { ModelConfig, QuantFormat } from "../model-config.ts";
import { show } from "../show.ts";
import { f16ToF32, f32ToF16 } from "./half.ts";

/** Weights that share a scale. */
export const QUANT_BLOCK = 32;

/** Bytes of a stored block: its scale as float16, then 32 signed bytes, or 32 signed 4-bit numbers, low half first. */
export const BLOCK_BYTES: Readonly<Record<QuantFormat, number>> = { q8: 34, q4: 18 };

const FORMATS: readonly QuantFormat[] = ["q8", "q4"];

export function isQuantFormat(value: unknown): value is QuantFormat {
  return FORMATS.some((format) => format === value);
}

/** @throws SluiceError `usage` for anything that is not a format */
export function checkQuantFormat(value: unknown): QuantFormat {
  if (isQuantFormat(value)) return value;
  throw new SluiceError("usage", `There is no quantised format ${show(value)}`, {
    hint: `Weights can be quantised to ${FORMATS.join(" or ")}.`,
  });
}

/** The error for weights that cannot be quantised again. */
export function alreadyQuantized(
  label: string,
  { quantization, quantized_as }: Pick<ModelConfig, "quantization" | "quantized_as">,
): SluiceError {
  const how = isQuantFormat(quantization) ? `to ${quantization}` : `in ${quantized_as ?? "MLX's format"}`;
  return new SluiceError("usage", `${label} is already quantised, ${how}`, {
    hint: "Load it as it is, or quantise the float weights that it was made from.",
  });
}

/** Blocks of an output with `k` inputs; the last is padded with zeros. */
export function blockCount(k: number): number {
  return Math.ceil(k / QUANT_BLOCK);
}

/** How far quantised weights are from the originals. */
export class QuantizationLoss {
  #squares = 0;
  #errors = 0;
  #worst = 0;

  /** Root mean square of w - q·d, relative to that of w. */
  get rms(): number {
    return this.#squares > 0 ? Math.sqrt(this.#errors / this.#squares) : 0;
  }

  /** Largest |w - q·d|, relative to the largest |w| of its block. */
  get max(): number {
    return this.#worst;
  }

  /** @param values one block @param scale d @param codes q @param offset added to q·d */
  addBlock(values: Float64Array, scale: number, codes: Int8Array | Uint8Array, offset = 0): void {
    let largest = 0;
    let off = 0;
    for (let i = 0; i < values.length; i++) {
      const value = values[i] as number;
      const error = Math.abs(value - (codes[i] as number) * scale - offset);
      this.#squares += value * value;
      this.#errors += error * error;
      largest = Math.max(largest, Math.abs(value));
      off = Math.max(off, error);
    }
    if (largest > 0) this.#worst = Math.max(this.#worst, off / largest);
  }

  add(other: QuantizationLoss): void {
    this.#squares += other.#squares;
    this.#errors += other.#errors;
    this.#worst = Math.max(this.#worst, other.#worst);
  }
}

/** The differences as text. */
export function describeError({ rms, max }: QuantizationLoss): string {
  const percent = (value: number): string => `${(100 * value).toFixed(value < 0.01 ? 3 : 2)} %`;
  return `relative error ${percent(rms)} RMS, at most ${percent(max)} of the largest weight of its block`;
}

/** Positions at which q4 tries the largest weight: at the end of the range, beyond it (clipped), or before it. */
const LARGEST_AT = [8, 8.5, 9, 7.5, 7];

/**
 * Quantises 32 weights.
 * @param codes receives q
 * @param label names the matrix in errors
 * @returns d as float16 bits
 * @throws SluiceError `bad_weights` for weights that are not finite or too large for float16 scales
 */
export function quantizeBlock(format: QuantFormat, values: Float64Array, codes: Int8Array, label: string): number {
  let largest = 0;
  for (let i = 0; i < QUANT_BLOCK; i++) {
    const value = values[i] as number;
    if (!Number.isFinite(value))
      throw new SluiceError("bad_weights", `${label} holds ${value}: it cannot be quantised`);
    if (Math.abs(value) > Math.abs(largest)) largest = value;
  }
  if (largest === 0) {
    codes.fill(0);
    return 0;
  }
  const scale = format === "q8" ? roundedUp(Math.abs(largest) / 127) : bestScale(values, largest);
  if (!Number.isFinite(f16ToF32(scale))) {
    throw new SluiceError("bad_weights", `${label} holds ${largest}: too large for a float16 scale`);
  }
  encode(values, f16ToF32(scale), format === "q8" ? -127 : -8, format === "q8" ? 127 : 7, codes);
  return scale;
}

function roundedUp(value: number): number {
  const bits = f32ToF16(value);
  return f16ToF32(bits) < value ? bits + 1 : bits;
}

function bestScale(values: Float64Array, largest: number): number {
  let best = 0;
  let least = Number.POSITIVE_INFINITY;
  const consider = (wanted: number): void => {
    const bits = f32ToF16(wanted);
    const scale = f16ToF32(bits);
    if (scale === 0 || !Number.isFinite(scale)) return;
    const error = squaredError(values, scale);
    if (error >= least) return;
    least = error;
    best = bits;
  };
  for (const at of LARGEST_AT) consider(-largest / at);
  // Weights too small for any of these scales get the smallest one, those too large an infinite one.
  if (least === Number.POSITIVE_INFINITY) return Math.abs(largest) < 1 ? 1 : 0x7c00;
  // The least-squares scale for the numbers just found.
  const inverse = 1 / f16ToF32(best);
  let product = 0;
  let squares = 0;
  for (let i = 0; i < QUANT_BLOCK; i++) {
    const value = values[i] as number;
    const code = nearest(value * inverse, -8, 7);
    product += value * code;
    squares += code * code;
  }
  if (squares > 0) consider(product / squares);
  return best;
}

function squaredError(values: Float64Array, scale: number): number {
  const inverse = 1 / scale;
  let sum = 0;
  for (let i = 0; i < QUANT_BLOCK; i++) {
    const value = values[i] as number;
    const error = value - nearest(value * inverse, -8, 7) * scale;
    sum += error * error;
  }
  return sum;
}

function encode(values: Float64Array, scale: number, least: number, most: number, codes: Int8Array): void {
  const inverse = 1 / scale;
  for (let i = 0; i < QUANT_BLOCK; i++) codes[i] = nearest((values[i] as number) * inverse, least, most);
}

function nearest(value: number, least: number, most: number): number {
  return Math.max(least, Math.min(most, Math.floor(value + 0.5)));
}

/** Writes a block in stored form. */
export function storeBlock(format: QuantFormat, scale: number, codes: Int8Array, target: Uint8Array, at: number): void {
  target[at] = scale & 0xff;
  target[at + 1] = scale >> 8;
  if (format === "q8") target.set(new Uint8Array(codes.buffer, codes.byteOffset, QUANT_BLOCK), at + 2);
  else {
    for (let i = 0; i < QUANT_BLOCK / 2; i++) {
      target[at + 2 + i] = ((codes[2 * i] as number) & 15) | (((codes[2 * i + 1] as number) & 15) << 4);
    }
  }
}

/** Reads a stored block. @param codes receives q @returns d as float16 bits */
export function readBlock(format: QuantFormat, source: Uint8Array, at: number, codes: Int8Array): number {
  for (let i = 0; i < QUANT_BLOCK; i++) {
    codes[i] =
      format === "q8"
        ? (source[at + 2 + i] as number)
        : (((source[at + 2 + (i >> 1)] as number) >> (4 * (i & 1))) << 28) >> 28;
  }
  return (source[at] as number) | ((source[at + 1] as number) << 8);
}
