/** Writes GGUF files of float32 vectors: control vectors. */

const MAGIC = 0x46554747;
const VERSION = 3;
/** Numbers of the types of metadata. */
const U32 = 4;
const TEXT = 8;
/** ggml's number of float32. */
const F32 = 0;
/** Where tensors begin, counted from the first. */
const ALIGNMENT = 32;

/**
 * @param fields whole numbers are stored as u32
 * @param vectors by tensor name
 */
export function writeGgufVectors(
  fields: ReadonlyMap<string, string | number>,
  vectors: ReadonlyMap<string, Float32Array>,
): Uint8Array<ArrayBuffer> {
  const head = new HeadWriter();
  head.u32(MAGIC).u32(VERSION).u64(vectors.size).u64(fields.size);
  for (const [key, value] of fields) {
    head.text(key);
    if (typeof value === "string") head.u32(TEXT).text(value);
    else head.u32(U32).u32(value);
  }
  let offset = 0;
  for (const [name, { length, byteLength }] of vectors) {
    head.text(name).u32(1).u64(length).u32(F32).u64(offset);
    offset += aligned(byteLength);
  }
  const begin = aligned(head.bytes.length);
  const file = new Uint8Array(begin + offset);
  file.set(head.bytes);
  let at = begin;
  for (const vector of vectors.values()) {
    file.set(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength), at);
    at += aligned(vector.byteLength);
  }
  return file;
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

class HeadWriter {
  readonly bytes: number[] = [];

  u32(value: number): this {
    for (let shift = 0; shift < 32; shift += 8) this.bytes.push((value >>> shift) & 0xff);
    return this;
  }

  u64(value: number): this {
    return this.u32(value % 2 ** 32).u32(Math.floor(value / 2 ** 32));
  }

  text(value: string): this {
    const encoded = new TextEncoder().encode(value);
    this.u64(encoded.length);
    this.bytes.push(...encoded);
    return this;
  }
}
