/** Values as bytes: JSON in which typed arrays and Maps keep their kind, followed by the arrays' bytes. */
import { SluiceError } from "../errors.ts";

/** Kinds of arrays that are sent. */
const ARRAYS = { f32: Float32Array, f64: Float64Array, u32: Uint32Array, i32: Int32Array, u8: Uint8Array } as const;
type ArrayName = keyof typeof ARRAYS;
const NAMES = Object.keys(ARRAYS) as readonly ArrayName[];

/** In front of the JSON: how long it is. */
const HEAD_BYTES = 4;
/** Where each array begins. */
const ALIGNMENT = 8;

/** A value that JSON does not have. */
type Marked =
  | { readonly $array: ArrayName; readonly at: number; readonly length: number }
  | { readonly $map: readonly (readonly [unknown, unknown])[] }
  | { readonly $number: string };

/** @param value plain data, with typed arrays and Maps */
export function toBytes(value: unknown): Uint8Array<ArrayBuffer> {
  const arrays: { readonly at: number; readonly bytes: Uint8Array }[] = [];
  let end = 0;
  const json = JSON.stringify(value, (_, given: unknown) => {
    if (given instanceof Map) return { $map: [...given] } satisfies Marked;
    if (typeof given === "number" && !Number.isFinite(given)) return { $number: String(given) } satisfies Marked;
    if (!ArrayBuffer.isView(given)) return given;
    const $array = NAMES.find((name) => given instanceof ARRAYS[name]);
    if (!$array) throw new Error(`${given.constructor.name} cannot be sent`);
    const bytes = new Uint8Array(given.buffer, given.byteOffset, given.byteLength);
    const at = end;
    arrays.push({ at, bytes });
    end += Math.ceil(bytes.length / ALIGNMENT) * ALIGNMENT;
    return { $array, at, length: (given as Float32Array).length } satisfies Marked;
  });
  const text = new TextEncoder().encode(json);
  const begin = Math.ceil((HEAD_BYTES + text.length) / ALIGNMENT) * ALIGNMENT;
  const all = new Uint8Array(begin + end);
  new DataView(all.buffer).setUint32(0, text.length, true);
  all.set(text, HEAD_BYTES);
  for (const { at, bytes } of arrays) all.set(bytes, begin + at);
  return all;
}

/** @throws SluiceError `bad_file` for bytes that {@link toBytes} did not write */
export function fromBytes(given: Uint8Array): unknown {
  // A copy of its own: arrays begin at multiples of eight in it.
  const all = Uint8Array.from(given);
  try {
    const length = new DataView(all.buffer).getUint32(0, true);
    const begin = Math.ceil((HEAD_BYTES + length) / ALIGNMENT) * ALIGNMENT;
    return JSON.parse(new TextDecoder().decode(all.subarray(HEAD_BYTES, HEAD_BYTES + length)), (_, value: unknown) => {
      if (typeof value !== "object" || value === null) return value;
      if ("$map" in value) return new Map(value.$map as readonly (readonly [unknown, unknown])[]);
      if ("$number" in value) return notFinite(value.$number);
      if (!("$array" in value)) return value;
      const { $array, at, length: count } = value as Extract<Marked, { $array: unknown }>;
      if (!Object.hasOwn(ARRAYS, $array)) throw new Error("no kind of array");
      if (!isCount(at) || !isCount(count)) throw new Error("no place of an array");
      const kind: new (buffer: ArrayBuffer, at: number, length: number) => unknown = ARRAYS[$array];
      return new kind(all.buffer, begin + at, count);
    });
  } catch (cause) {
    throw new SluiceError("bad_file", "What the queue holds is damaged, or was not written by Sluice", { cause });
  }
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Other numbers are written as JSON has them. */
function notFinite(text: unknown): number {
  const value = Number(text);
  if (String(value) !== text || Number.isFinite(value)) throw new Error("no number of this kind");
  return value;
}
