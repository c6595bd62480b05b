/** Names of types of elements in NumPy. */
import type { ElementType } from "./strided.ts";

/** NumPy's names of types, without their byte order. */
export const NUMPY_TYPES: ReadonlyMap<string, ElementType> = new Map([
  ["f8", "F64"],
  ["f4", "F32"],
  ["f2", "F16"],
  ["i8", "I64"],
  ["i4", "I32"],
  ["i2", "I16"],
  ["i1", "I8"],
  ["u1", "U8"],
  ["b1", "BOOL"],
]);
