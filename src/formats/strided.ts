/** An array of numbers as PyTorch and NumPy store it: a part of a storage, with strides. Read only when asked for. */
import { SluiceError } from "../errors.ts";
import { bf16ToF32, f16ToF32 } from "./half.ts";

/** Types of elements, named as safetensors does, by the bytes of one. */
const ELEMENT_BYTES = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U8: 1,
  BOOL: 1,
} as const;

export type ElementType = keyof typeof ELEMENT_BYTES;

/** Bytes of one element. */
export function elementBytes(dtype: ElementType): number {
  return ELEMENT_BYTES[dtype];
}

export function isElementType(dtype: string): dtype is ElementType {
  return Object.hasOwn(ELEMENT_BYTES, dtype);
}

/** What several arrays may be parts of. `bytes` may come later than the arrays: old files put them last. */
export interface Storage {
  readonly dtype: ElementType;
  /** Number of elements. */
  readonly count: number;
  readonly isBigEndian: boolean;
  bytes: Uint8Array | null;
}

/** More dimensions mean damage: PyTorch's own limit is 64, NumPy's 32. */
const MOST_DIMENSIONS = 32;

/** Elements that an array may have beyond its storage, which strides of 0 make possible. */
const MOST_REPEATED = 1 << 24;

export class StridedArray {
  readonly dtype: ElementType;
  /** Sizes of the dimensions, outermost first; `[]` for a single number. */
  readonly shape: readonly number[];
  /** Number of elements. */
  readonly count: number;
  readonly #storage: Storage;
  readonly #offset: number;
  readonly #strides: readonly number[];

  /**
   * @param offset of the first element in the storage, in elements
   * @param strides in elements, one per dimension
   * @param where names the file and the array in errors
   * @throws `bad_file` for an array that lies outside its storage
   */
  constructor(storage: Storage, offset: number, shape: readonly number[], strides: readonly number[], where: string) {
    const isSize = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;
    if (shape.length > MOST_DIMENSIONS || shape.length !== strides.length) {
      throw bad(where, `has ${shape.length} dimensions and ${strides.length} strides`);
    }
    if (![offset, ...shape, ...strides].every(isSize)) throw bad(where, "has a size, stride or offset below 0");
    const count = shape.reduce((product, size) => product * size, 1);
    const last = offset + shape.reduce((sum, size, axis) => sum + (size - 1) * (strides[axis] as number), 0);
    if (count > 0 && last >= storage.count) {
      throw bad(where, `reaches element ${last} of a storage that has ${storage.count}`);
    }
    if (count > Math.max(storage.count, MOST_REPEATED)) throw bad(where, `claims ${count} elements`);
    this.dtype = storage.dtype;
    this.shape = shape;
    this.count = count;
    this.#storage = storage;
    this.#offset = offset;
    this.#strides = strides;
  }

  /** An array whose elements lie one after another. */
  static packed(storage: Storage, shape: readonly number[], where: string): StridedArray {
    return new StridedArray(storage, 0, shape, rowMajor(shape), where);
  }

  /** All elements in float64, row-major; integers beyond 2⁵³ are rounded. */
  values(): Float64Array {
    const read = this.#reader();
    const result = new Float64Array(this.count);
    const index = new Array<number>(this.shape.length).fill(0);
    let at = this.#offset;
    for (let i = 0; i < this.count; i++) {
      result[i] = read(at);
      for (let axis = this.shape.length - 1; axis >= 0; axis--) {
        const stride = this.#strides[axis] as number;
        at += stride;
        index[axis] = (index[axis] as number) + 1;
        if ((index[axis] as number) < (this.shape[axis] as number)) break;
        at -= stride * (this.shape[axis] as number);
        index[axis] = 0;
      }
    }
    return result;
  }

  /** A part of it: the elements whose index along an axis is this. */
  at(axis: number, index: number, where: string): StridedArray {
    const without = (list: readonly number[]): number[] => list.filter((_, i) => i !== axis);
    const offset = this.#offset + index * (this.#strides[axis] as number);
    return new StridedArray(this.#storage, offset, without(this.shape), without(this.#strides), where);
  }

  #reader(): (index: number) => number {
    const { bytes, dtype, isBigEndian } = this.#storage;
    if (!bytes) throw new Error("an array was read before its storage");
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const little = !isBigEndian;
    switch (dtype) {
      case "F64":
        return (i) => view.getFloat64(8 * i, little);
      case "F32":
        return (i) => view.getFloat32(4 * i, little);
      case "F16":
        return (i) => f16ToF32(view.getUint16(2 * i, little));
      case "BF16":
        return (i) => bf16ToF32(view.getUint16(2 * i, little));
      case "I64":
        return (i) => Number(view.getBigInt64(8 * i, little));
      case "I32":
        return (i) => view.getInt32(4 * i, little);
      case "I16":
        return (i) => view.getInt16(2 * i, little);
      case "I8":
        return (i) => view.getInt8(i);
      case "U8":
      case "BOOL":
        return (i) => view.getUint8(i);
    }
  }
}

/** Strides of an array whose last dimension is the adjacent one. */
export function rowMajor(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis] as number;
  }
  return strides;
}

/** Strides of an array whose first dimension is the adjacent one, as Fortran has it. */
export function columnMajor(shape: readonly number[]): number[] {
  return rowMajor([...shape].reverse()).reverse();
}

function bad(where: string, problem: string): SluiceError {
  return new SluiceError("bad_file", `${where} ${problem}`, {
    hint: "The file is damaged, or was made to do harm. Get it from a trusted place.",
  });
}
