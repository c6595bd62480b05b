/** Inputs for tests of the row kernels: seeded randomness, padded rows, and tables in the strips layout. */
import { narrowToBf16, narrowToF16, widenBf16, widenF16 } from "../../src/formats/half.ts";
import type { WeightDtype } from "../../src/kernels/weight-dtype.ts";
import { blockMatrix, quantizedMatrix } from "../support/quantized.ts";

/** Numbers in [0, 1), the same for the same seed (mulberry32). */
export function seeded(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t ^= t + Math.imul(t ^ (t >>> 7), 61 | t);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Normal numbers by Box and Muller. */
export function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}

export const ceil4 = (n: number): number => Math.ceil(n / 4) * 4;

/** Rows [count][ceil4(width)] of `value(row, column)`, padded with `padding`. */
export function paddedRows(
  count: number,
  width: number,
  value: (row: number, column: number) => number,
  padding = 0,
): Float32Array {
  const stride = ceil4(width);
  return Float32Array.from({ length: count * stride }, (_, i) =>
    i % stride < width ? value(Math.floor(i / stride), i % stride) : padding,
  );
}

/** A table [rows, width] of bit patterns as strips of four rows, padded with zeros: shaders/lib/table.wgsl. */
export function strips<T extends Uint16Array | Uint32Array>(
  table: T,
  rows: number,
  width: number,
  result: T,
): Uint32Array {
  const stride = ceil4(width);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < width; k++) {
      result[((row >> 2) * stride + k) * 4 + (row & 3)] = table[row * width + k] as number;
    }
  }
  return new Uint32Array(result.buffer, result.byteOffset, result.byteLength / 4);
}

/** A dense matrix [outputs][k] of weights as the kernels read it in a dtype, and what it then holds. */
export function packedMatrix(
  drawn: Float32Array<ArrayBuffer>,
  outputs: number,
  k: number,
  dtype: WeightDtype,
): { readonly dense: Float32Array<ArrayBuffer>; readonly packed: Uint32Array } {
  const size = ceil4(outputs) * ceil4(k);
  switch (dtype) {
    case "q8":
    case "q4":
      return quantizedMatrix(drawn, outputs, k, dtype);
    case "f32":
      return { dense: drawn, packed: strips(new Uint32Array(drawn.buffer), outputs, k, new Uint32Array(size)) };
    case "f16":
    case "bf16": {
      const half = dtype === "f16" ? narrowToF16(drawn) : narrowToBf16(drawn);
      const dense = dtype === "f16" ? widenF16(half) : widenBf16(half);
      return { dense, packed: strips(half, outputs, k, new Uint16Array(size)) };
    }
    default:
      return blockMatrix(drawn, outputs, k, dtype);
  }
}

/** Row `row` of a buffer of rows of `stride` floats. */
export function rowOf(buffer: ArrayBuffer | undefined, row: number, stride: number): Float32Array {
  if (!buffer) throw new Error("the kernel has no such output");
  return new Float32Array(buffer, row * stride * 4, stride);
}

/** Largest |actual - expected|; NaN anywhere gives Infinity. */
export function worst(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  let result = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs((actual[i] as number) - (expected[i] as number));
    result = Number.isNaN(difference) ? Infinity : Math.max(result, difference);
  }
  return result;
}
