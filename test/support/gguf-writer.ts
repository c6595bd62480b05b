/** Writes GGUF files for tests, sound ones and others. */

export class GgufWriter {
  #bytes = new Uint8Array(1024);
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** A whole number of that many bytes. */
  put(value: bigint | number, size: number): this {
    const at = this.#grow(size);
    for (let i = 0; i < size; i++) this.#bytes[at + i] = Number((BigInt(value) >> BigInt(8 * i)) & 255n);
    return this;
  }

  text(text: string): this {
    return this.raw(new TextEncoder().encode(text), true);
  }

  /** Bytes as they are; with their number before them, if they are a text. */
  raw(bytes: Uint8Array, counted = false): this {
    if (counted) this.put(bytes.length, 8);
    const at = this.#grow(bytes.length);
    this.#bytes.set(bytes, at);
    return this;
  }

  pad(alignment: number): this {
    this.#grow((alignment - (this.length % alignment)) % alignment);
    return this;
  }

  done(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #grow(by: number): number {
    const at = this.#length;
    this.#length += by;
    if (this.#length > this.#bytes.length) {
      const longer = new Uint8Array(this.#length * 2);
      longer.set(this.#bytes);
      this.#bytes = longer;
    }
    return at;
  }
}

/** A metadata value: a whole number is a u32 (i32 if negative), another number a float32. */
export type Field = number | boolean | string | readonly string[] | Float32Array | Int32Array;

export interface WrittenTensor {
  /** ggml's number of the type. */
  readonly type: number;
  /** Row-major. */
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export const ggufHead = (tensors: bigint | number, fields: bigint | number): GgufWriter =>
  new GgufWriter().put(0x46554747, 4).put(3, 4).put(tensors, 8).put(fields, 8);

/** A sound file. */
export function writeGguf(
  fields: Readonly<Record<string, Field>>,
  tensors: Readonly<Record<string, WrittenTensor>> = {},
): Uint8Array<ArrayBuffer> {
  const entries = Object.entries(tensors);
  const writer = ggufHead(entries.length, Object.keys(fields).length);
  for (const [key, value] of Object.entries(fields)) putField(writer.text(key), value);
  let offset = 0;
  for (const [name, { type, shape, bytes }] of entries) {
    writer.text(name).put(shape.length, 4);
    for (const length of [...shape].reverse()) writer.put(length, 8);
    writer.put(type, 4).put(offset, 8);
    offset += Math.ceil(bytes.length / 32) * 32;
  }
  writer.pad(32);
  for (const [, { bytes }] of entries) writer.raw(bytes).pad(32);
  return writer.done();
}

function putField(writer: GgufWriter, value: Field): void {
  if (typeof value === "string") writer.put(8, 4).text(value);
  else if (typeof value === "boolean") writer.put(7, 4).put(value ? 1 : 0, 1);
  else if (typeof value === "number") {
    if (Number.isInteger(value)) writer.put(value < 0 ? 5 : 4, 4).put(value, 4);
    else writer.put(6, 4).raw(new Uint8Array(Float32Array.of(value).buffer));
  } else if (value instanceof Float32Array || value instanceof Int32Array) {
    writer
      .put(9, 4)
      .put(value instanceof Float32Array ? 6 : 5, 4)
      .put(value.length, 8);
    writer.raw(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  } else {
    writer.put(9, 4).put(8, 4).put(value.length, 8);
    for (const text of value) writer.text(text);
  }
}
