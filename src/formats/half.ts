/**
 * 16-bit floats and back, exactly: IEEE 754 binary16 (f16) and bfloat16. Everything works on bit patterns,
 * since a JavaScript number may change a NaN's payload on its way. Narrowing rounds to nearest, ties to even.
 */
import { SluiceError } from "../errors.ts";

const scalarFloat = new Float32Array(1);
const scalarBits = new Uint32Array(scalarFloat.buffer);

/** The value of an f16 bit pattern. */
export function f16ToF32(bits: number): number {
  scalarBits[0] = widenF16Bits(bits);
  return scalarFloat[0] as number;
}

/** The bit pattern of the f16 nearest to a number, which is first rounded to float32. Beyond 65,519.996: infinity. */
export function f32ToF16(value: number): number {
  scalarFloat[0] = value;
  return narrowToF16Bits(scalarBits[0] as number);
}

/** The value of a bfloat16 bit pattern: the upper half of a float32's. */
export function bf16ToF32(bits: number): number {
  scalarBits[0] = bits << 16;
  return scalarFloat[0] as number;
}

/** The bit pattern of the bfloat16 nearest to a number, which is first rounded to float32. */
export function f32ToBf16(value: number): number {
  scalarFloat[0] = value;
  return narrowToBf16Bits(scalarBits[0] as number);
}

/**
 * Stored floats as float32: exact, since float32 holds every value of the three types.
 * @param dtype as safetensors spells it
 * @param bytes little endian; may be a view at any offset
 * @throws `bad_weights` for a dtype other than F32, F16 and BF16
 */
export function widen(dtype: string, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  // A copy starts its own buffer, so that a wider view of it is possible.
  const { buffer } = new Uint8Array(bytes);
  switch (dtype) {
    case "F32":
      return new Float32Array(buffer);
    case "F16":
      return widenF16(new Uint16Array(buffer));
    case "BF16":
      return widenBf16(new Uint16Array(buffer));
    default:
      throw new SluiceError(
        "bad_weights",
        `A tensor of dtype ${dtype} cannot be read as floats; F32, F16 and BF16 can`,
      );
  }
}

/** f16 bit patterns to float32 values. */
export function widenF16(source: Uint16Array): Float32Array<ArrayBuffer> {
  return widenBits(source, widenF16Bits);
}

/** bfloat16 bit patterns to float32 values. */
export function widenBf16(source: Uint16Array): Float32Array<ArrayBuffer> {
  return widenBits(source, (bits) => bits << 16);
}

/** float32 values to f16 bit patterns. */
export function narrowToF16(source: Float32Array): Uint16Array<ArrayBuffer> {
  return narrowBits(source, narrowToF16Bits);
}

/** float32 values to bfloat16 bit patterns. */
export function narrowToBf16(source: Float32Array): Uint16Array<ArrayBuffer> {
  return narrowBits(source, narrowToBf16Bits);
}

function widenBits(source: Uint16Array, one: (bits: number) => number): Float32Array<ArrayBuffer> {
  const bits = new Uint32Array(source.length);
  for (let i = 0; i < source.length; i++) bits[i] = one(source[i] as number);
  return new Float32Array(bits.buffer);
}

function narrowBits(source: Float32Array, one: (bits: number) => number): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(source.buffer, source.byteOffset, source.length);
  const result = new Uint16Array(source.length);
  for (let i = 0; i < bits.length; i++) result[i] = one(bits[i] as number);
  return result;
}

/** f16: 1 sign, 5 exponent (bias 15), 10 mantissa bits. float32: 1, 8 (bias 127), 23. */
function widenF16Bits(bits: number): number {
  const sign = (bits & 0x8000) << 16;
  const exponent = (bits >>> 10) & 0x1f;
  const mantissa = bits & 0x3ff;
  if (exponent === 0x1f) return sign | 0x7f800000 | (mantissa << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (mantissa << 13);
  if (mantissa === 0) return sign;
  // A subnormal is mantissa · 2^-24: float32 has exponents to spare, so its leading one becomes implicit.
  const shift = Math.clz32(mantissa) - 21;
  return sign | ((113 - shift) << 23) | (((mantissa << shift) & 0x3ff) << 13);
}

function narrowToF16Bits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00 | ((magnitude >>> 13) & 0x1ff);
  // 65,520 lies half way between the largest f16 and the power of two after it, and ties go up there.
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  // From 2^-14 the result is normal; a carry out of the mantissa rightly enters the exponent.
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
  // At or below 2^-25 everything rounds to zero.
  if (magnitude <= 0x33000000) return sign;
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const shift = 126 - (magnitude >>> 23);
  const kept = significand >>> shift;
  const dropped = significand & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (dropped > half || (dropped === half && (kept & 1) === 1) ? kept + 1 : kept);
}

function narrowToBf16Bits(bits: number): number {
  // A NaN must not round up into infinity, nor lose its payload's only bit.
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
