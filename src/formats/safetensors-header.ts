/**
 * The header of a safetensors file, checked as strictly as the reference library does and a little more
 * (a repeated name is refused): checked tensors cover the file's data exactly, without overlap or gap.
 *
 * The file is: 8 bytes, the header's length as little-endian u64; the header, a JSON object from tensor name
 * to dtype, shape and data_offsets (relative to the data); the data.
 * https://github.com/huggingface/safetensors#format
 */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import type { TensorInfo } from "./checkpoint.ts";
import { nesting } from "./json.ts";
import { type Expected, foreignFile, RECOGNISED_BYTES } from "./recognise.ts";
import type { FileSource } from "./source.ts";
import { duplicateKey } from "./strict-json.ts";

/** Bits of one element. In the reference library's order, by which a writer sorts: wider alignment last. */
export const DTYPE_BITS: ReadonlyMap<string, number> = new Map([
  ["BOOL", 8],
  ["F4", 4],
  ["F6_E2M3", 6],
  ["F6_E3M2", 6],
  ["U8", 8],
  ["I8", 8],
  ["F8_E5M2", 8],
  ["F8_E4M3", 8],
  ["F8_E8M0", 8],
  ["F8_E4M3FNUZ", 8],
  ["F8_E5M2FNUZ", 8],
  ["I16", 16],
  ["U16", 16],
  ["F16", 16],
  ["BF16", 16],
  ["I32", 32],
  ["U32", 32],
  ["F32", 32],
  ["C64", 64],
  ["F64", 64],
  ["I64", 64],
  ["U64", 64],
]);

/** The reference library's bound. */
const MAX_HEADER_BYTES = 100_000_000;

/** A header has 3 levels; one with a few more gets a more detailed error. */
const MAX_HEADER_NESTING = 64;

/** A tensor and the position of its bytes. */
export interface TensorEntry extends TensorInfo {
  /** Bytes from the start of the file. */
  readonly begin: number;
  readonly end: number;
}

export interface SafetensorsHeader {
  /** In the order of the data. */
  readonly tensors: ReadonlyMap<string, TensorEntry>;
  /** `__metadata__`; empty without. */
  readonly metadata: ReadonlyMap<string, string>;
}

/**
 * Reads and checks a file's header; none of its data is read.
 * @param where names the file in errors
 * @param expected what it should be, for the hint if it is something else
 * @throws `bad_file` naming the file, the tensor and the numbers; `not_found`
 */
export async function readHeader(
  source: FileSource,
  path: string,
  signal?: AbortSignal,
  where = source.describe(path),
  expected: Expected = "weights",
): Promise<SafetensorsHeader> {
  const size = await source.size(path, signal);
  try {
    const length = headerLength(await source.read(path, 0, Math.min(8, size), signal), size, where);
    return parseHeader(await source.read(path, 8, 8 + length, signal), size, where);
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "bad_file") throw error;
    const head = await source.read(path, 0, Math.min(RECOGNISED_BYTES, size), signal);
    throw foreignFile(head, expected, where) ?? error;
  }
}

/**
 * The header's length from a file's first 8 bytes, checked to fit into the file.
 * @param size of the whole file, in bytes
 * @param where names the file in errors
 */
export function headerLength(prefix: Uint8Array, size: number, where: string): number {
  if (size < 8) throw tooShort(where, size);
  const length = new DataView(prefix.buffer, prefix.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw bad(where, `its header claims ${length} bytes, more than the ${MAX_HEADER_BYTES} that safetensors allows`);
  }
  if (8n + length > BigInt(size)) {
    throw bad(where, `its header claims ${length} bytes, but only ${size - 8} follow in the file of ${size} bytes`);
  }
  return Number(length);
}

/**
 * Checks a header and places its tensors in the file.
 * @param bytes the header alone, as UTF-8 JSON
 * @param size of the whole file, in bytes
 * @param where names the file in errors
 * @throws `bad_file`
 */
export function parseHeader(bytes: Uint8Array, size: number, where: string): SafetensorsHeader {
  const fields = parseObject(bytes, where);
  const dataBegin = 8 + bytes.length;
  const dataLength = size - dataBegin;
  let metadata: ReadonlyMap<string, string> = new Map();
  const entries: TensorEntry[] = [];
  for (const [name, value] of Object.entries(fields)) {
    if (name === "__metadata__") metadata = readMetadata(value, where);
    else entries.push(readEntry(name, value, dataBegin, dataLength, where));
  }
  entries.sort((a, b) => a.begin - b.begin || a.end - b.end);
  checkCover(entries, dataBegin, size, where);
  return { tensors: new Map(entries.map((entry) => [entry.name, entry])), metadata };
}

function parseObject(bytes: Uint8Array, where: string): Record<string, unknown> {
  if (bytes[0] !== 0x7b) throw bad(where, "its header does not begin with {");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw bad(where, "its header is not valid UTF-8", cause);
  }
  if (nesting(text, MAX_HEADER_NESTING) > MAX_HEADER_NESTING) {
    throw bad(where, `its header is nested more than ${MAX_HEADER_NESTING} levels deep`);
  }
  let fields: Record<string, unknown>;
  try {
    fields = JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw bad(where, `its header is not valid JSON: ${(cause as Error).message}`, cause);
  }
  const twice = duplicateKey(text);
  if (twice !== null) throw bad(where, `its header holds ${show(twice)} twice`);
  return fields;
}

function readMetadata(value: unknown, where: string): ReadonlyMap<string, string> {
  if (value === null) return new Map();
  if (!isObject(value) || !Object.values(value).every((item) => typeof item === "string")) {
    throw bad(where, "__metadata__ is not an object of strings");
  }
  return new Map(Object.entries(value as Record<string, string>));
}

function readEntry(name: string, value: unknown, dataBegin: number, dataLength: number, where: string): TensorEntry {
  const refuse = (problem: string) => bad(where, `tensor ${show(name)} ${problem}`);
  if (!isObject(value)) throw refuse("is not described by an object");
  const { dtype, shape, data_offsets: offsets } = value;
  const bits = typeof dtype === "string" ? DTYPE_BITS.get(dtype) : undefined;
  if (bits === undefined) throw refuse(`has dtype ${show(dtype)}, which safetensors does not know`);
  if (!isIndices(shape)) throw refuse(`has shape ${show(shape)}, which is not a list of whole numbers`);
  if (!isIndices(offsets) || offsets.length !== 2) {
    throw refuse(`has data_offsets ${show(offsets)}, which are not two whole numbers`);
  }
  const [begin, end] = offsets as [number, number];
  if (end < begin) throw refuse(`ends at byte ${end} of the data, before its beginning at ${begin}`);
  if (end > dataLength) {
    throw refuse(`is at bytes ${begin} to ${end} of the data, but the file has only ${dataLength} bytes of data`);
  }
  const byteLength = bytesOf(shape, bits);
  if (byteLength === null) {
    throw refuse(`of ${show(dtype)} ${show(shape)} does not take a whole, representable number of bytes`);
  }
  if (end - begin !== byteLength) {
    throw refuse(
      `of ${show(dtype)} ${show(shape)} needs ${byteLength} bytes, but its data_offsets span ${end - begin}`,
    );
  }
  return { name, dtype: dtype as string, shape, byteLength, begin: dataBegin + begin, end: dataBegin + end };
}

/** The tensors, sorted, must follow one another from the header to the end of the file. */
function checkCover(entries: readonly TensorEntry[], dataBegin: number, size: number, where: string): void {
  let last: TensorEntry | null = null;
  for (const entry of entries) {
    const end = last?.end ?? dataBegin;
    const begin = `${show(entry.name)} begins at byte ${entry.begin - dataBegin} of the data`;
    if (last && entry.begin < end) {
      throw bad(where, `tensor ${begin}, inside tensor ${show(last.name)}, which ends at ${end - dataBegin}`);
    }
    if (entry.begin > end) {
      throw bad(
        where,
        `tensor ${begin}, but the data before it ends at ${end - dataBegin}: the bytes between belong to no tensor`,
      );
    }
    last = entry;
  }
  const end = last?.end ?? dataBegin;
  if (end !== size) throw bad(where, `${size - end} bytes after its last tensor belong to no tensor`);
}

/**
 * Bytes of a tensor, or null for a fraction of a byte, or more than 2^53.
 * @param bits of one element
 */
export function bytesOf(shape: readonly number[], bits: number): number | null {
  let total = bits;
  for (const length of shape) total *= length;
  return Number.isSafeInteger(total) && total % 8 === 0 ? total / 8 : null;
}

function isIndices(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((item) => Number.isSafeInteger(item) && item >= 0);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function tooShort(where: string, size: number): SluiceError {
  return bad(where, `the file has ${size} bytes, too few for the 8 that a safetensors file begins with`);
}

function bad(where: string, problem: string, cause?: unknown): SluiceError {
  return new SluiceError("bad_file", `${where}: ${problem}`, {
    hint: "The file is damaged, cut short, or not a safetensors file. Download it again, or write it again.",
    cause,
  });
}
