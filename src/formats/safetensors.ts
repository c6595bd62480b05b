/** Reads and writes small safetensors files: bundles, captures, logits. Model weights are read as they are needed instead. */
import { entry, optional } from "../arguments/entry.ts";
import { fields, needed } from "../arguments/fields.ts";
import { listOf, type Table, tableOf } from "../arguments/lists.ts";
import { bytes as anyBytes, fileName, oneOf, text, whole as wholeNumber } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import type { TensorInfo } from "./checkpoint.ts";
import { widen } from "./half.ts";
import { type Expected, foreignFile, RECOGNISED_BYTES } from "./recognise.ts";
import {
  bytesOf,
  DTYPE_BITS,
  headerLength,
  parseHeader,
  readHeader,
  type SafetensorsHeader,
} from "./safetensors-header.ts";
import type { FileSource } from "./source.ts";

/** A tensor with its bytes: little endian, row-major. */
export interface StoredTensor {
  /** As safetensors spells it: F32, F16, I64, … */
  readonly dtype: string;
  /** Sizes of the dimensions, outermost first; `[]` for a single number. */
  readonly shape: readonly number[];
  /** The values: little endian, row-major. */
  readonly bytes: Uint8Array;
}

/** That dtype, shape and bytes agree is checked when they are used. */
export const storedTensor = fields<StoredTensor>(
  "a tensor { dtype, shape, bytes }",
  "kept",
)({
  dtype: needed(text),
  shape: needed(listOf(wholeNumber({ least: 0 }))),
  bytes: needed(anyBytes),
});

export const parseSafetensorsDoor = entry(
  "parseSafetensors",
  ["file", anyBytes],
  ["where", optional(fileName)],
  ["expected", optional(oneOf<Expected>(["json", "weights", "bundle", "gguf", "text"]))],
);
export const writeSafetensorsDoor = entry(
  "writeSafetensors",
  ["tensors", tableOf(storedTensor)],
  ["metadata", optional(tableOf(text))],
);

/** A safetensors file in memory. */
export interface SafetensorsFile {
  /** Tensors by name, in the order of the file's header. */
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  /** `__metadata__`; empty without. */
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads a whole file from memory. Each tensor's bytes are a copy with byteOffset 0, so that any typed array
 * can view them.
 * @param file may be a view at any offset
 * @param where names the file in errors
 * @param expected what it should be, for the hint if it is something else
 * @throws `bad_file`
 */
export function parseSafetensors(file: Uint8Array, where?: string, expected?: Expected): SafetensorsFile {
  const [whole, named = "safetensors data", meant = "weights"] = parseSafetensorsDoor.read(file, where, expected);
  const { tensors, metadata } = headerOf(whole, named, meant);
  const stored = new Map<string, StoredTensor>();
  for (const { name, dtype, shape, begin, end } of tensors.values()) {
    // Not slice(), which returns a view of a Node Buffer.
    stored.set(name, { dtype, shape, bytes: new Uint8Array(whole.subarray(begin, end)) });
  }
  return { tensors: stored, metadata };
}

/** Tensors are read together up to this many bytes. */
const READ_BYTES = 1 << 20;

/**
 * Reads all tensors of a file, each into memory of its own: the file is in memory once, where {@link parseSafetensors}
 * needs it twice.
 * @param where names the file in errors
 * @param expected what it should be, for the hint if it is something else
 * @throws `bad_file`, `not_found`, `aborted`
 */
export async function readSafetensors(
  source: FileSource,
  path: string,
  where: string,
  expected: Expected,
  signal?: AbortSignal,
): Promise<SafetensorsFile> {
  const { tensors, metadata } = await readHeader(source, path, signal, where, expected);
  const stored = new Map<string, StoredTensor>();
  const most = [...tensors.values()].at(-1)?.end ?? 0;
  let [at, part] = [0, new Uint8Array()];
  for (const { name, dtype, shape, begin, end } of tensors.values()) {
    const isLarge = end - begin >= READ_BYTES;
    if (!isLarge && end > at + part.length) {
      at = begin;
      part = await source.read(path, at, Math.min(most, at + READ_BYTES), signal);
    }
    const bytes = isLarge ? await source.read(path, begin, end, signal) : part.slice(begin - at, end - at);
    stored.set(name, { dtype, shape, bytes });
  }
  return { tensors: stored, metadata };
}

function headerOf(file: Uint8Array, where: string, expected: Expected): SafetensorsHeader {
  try {
    const length = headerLength(file, file.length, where);
    return parseHeader(file.subarray(8, 8 + length), file.length, where);
  } catch (error) {
    throw foreignFile(file.subarray(0, RECOGNISED_BYTES), expected, where) ?? error;
  }
}

/**
 * Writes a file as the reference library does: tensors by descending alignment of their dtype, then by name, so
 * that each is aligned; the header padded with spaces to 8 bytes.
 * @param tensors by name
 * @param metadata becomes `__metadata__`
 * @throws `usage` for a tensor whose bytes do not fit its dtype and shape
 */
export function writeSafetensors(tensors: Table<StoredTensor>, metadata?: Table<string>): Uint8Array<ArrayBuffer> {
  const [stored, about = new Map<string, string>()] = writeSafetensorsDoor.read(tensors, metadata);
  for (const [name, tensor] of stored) checkStored(name, tensor);
  const sizes = [...stored].map(
    ([
      name,
      {
        dtype,
        shape,
        bytes: { length },
      },
    ]) => {
      return { name, dtype, shape, byteLength: length };
    },
  );
  const { head, names } = layOut(sizes, Object.fromEntries(about));
  const parts = [head, ...names.map((name) => stored.get(name)?.bytes ?? new Uint8Array(0))];
  const file = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

/**
 * A file's header, and the order of its tensors, for files too large to hold in memory.
 * @param tensors whose byteLength must match dtype and shape
 * @returns head: everything before the first tensor's bytes
 */
export function layOut(
  tensors: readonly TensorInfo[],
  metadata: Readonly<Record<string, string>> = {},
): { readonly head: Uint8Array<ArrayBuffer>; readonly names: readonly string[] } {
  const ranks = [...DTYPE_BITS.keys()];
  const sorted = [...tensors].sort(
    (a, b) => ranks.indexOf(b.dtype) - ranks.indexOf(a.dtype) || compareUtf8(a.name, b.name),
  );
  // Entries, not an object, which would sort names that look like numbers to the front and swallow "__proto__".
  const fields: [string, unknown][] = Object.keys(metadata).length > 0 ? [["__metadata__", metadata]] : [];
  let offset = 0;
  for (const { name, dtype, shape, byteLength } of sorted) {
    fields.push([name, { dtype, shape, data_offsets: [offset, offset + byteLength] }]);
    offset += byteLength;
  }
  const json = `{${fields.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(",")}}`;
  const header = new TextEncoder().encode(json);
  const head = new Uint8Array(8 + Math.ceil(header.length / 8) * 8);
  new DataView(head.buffer).setBigUint64(0, BigInt(head.length - 8), true);
  head.fill(0x20, 8);
  head.set(header, 8);
  return { head, names: sorted.map(({ name }) => name) };
}

function checkStored(name: string, { dtype, shape, bytes }: StoredTensor): void {
  const bits = DTYPE_BITS.get(dtype);
  const wanted = bits === undefined ? null : bytesOf(shape, bits);
  if (name === "__metadata__" || wanted === null || wanted !== bytes.length) {
    throw new SluiceError(
      "usage",
      `Cannot write tensor "${name}": ${dtype} [${shape.join(", ")}] needs ${wanted ?? "an unknown number of"} bytes, given ${bytes.length}`,
      name === "__metadata__" ? { hint: "safetensors reserves that name; use another." } : {},
    );
  }
}

/** The order of UTF-8 bytes, which is that of code points; JavaScript's own compares UTF-16 units. */
function compareUtf8(a: string, b: string): number {
  const left = [...a];
  const right = [...b];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = (left[i]?.codePointAt(0) ?? 0) - (right[i]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

/** float32 values as a tensor to write; the bytes are shared, not copied. */
export function storeFloat32(data: Float32Array, shape: readonly number[]): StoredTensor {
  return { dtype: "F32", shape, bytes: new Uint8Array(data.buffer, data.byteOffset, data.byteLength) };
}

/**
 * The values of an F32, F16 or BF16 tensor as float32.
 * @throws `bad_weights` for any other dtype
 */
export function toFloat32(tensor: StoredTensor): Float32Array<ArrayBuffer> {
  return widen(tensor.dtype, tensor.bytes);
}

/** The values of a tensor without a copy; undefined if its bytes are no float32 numbers in memory. */
export function float32View({ dtype, bytes }: StoredTensor): Float32Array | undefined {
  if (dtype !== "F32" || bytes.byteOffset % 4 !== 0 || bytes.length % 4 !== 0) return undefined;
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}
