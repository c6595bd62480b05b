/**
 * ONNX models as bytes: the few messages of onnx.proto that a graph of named nodes needs, and weights in a file of their
 * own (`external data`). https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
 */
import { closeSync, openSync, writeFileSync, writeSync } from "node:fs";
import { basename } from "node:path";
import type { Tensor } from "./checkpoint.ts";

export type Dimension = number | string;
export type ElementType = "float32" | "int32" | "int64";

interface Port {
  readonly name: string;
  readonly type: ElementType;
  readonly shape: readonly Dimension[];
}

const ELEMENT = { float32: 1, int32: 6, int64: 7 } as const;
const ATTRIBUTE = { float: 1, int: 2, ints: 7 } as const;
const EXTERNAL = 1;
const WIRE = { varint: 0, bytes: 2, fixed32: 5 } as const;

/** Collects a graph; names of values are the caller's. */
export class OnnxGraph {
  readonly #nodes: Uint8Array[] = [];
  readonly #initializers: Uint8Array[] = [];
  readonly #inputs: Uint8Array[] = [];
  readonly #outputs: Uint8Array[] = [];
  readonly #data: number;
  readonly #dataName: string;
  #offset = 0;

  /** @param path where the model goes; its weights go to `PATH_data`, which is open until {@link write} */
  constructor(readonly path: string) {
    this.#dataName = `${basename(path)}_data`;
    this.#data = openSync(`${path}_data`, "w");
  }

  input(name: string, type: ElementType, shape: readonly Dimension[]): string {
    this.#inputs.push(portMessage({ name, type, shape }));
    return name;
  }

  output(name: string, type: ElementType, shape: readonly Dimension[]): void {
    this.#outputs.push(portMessage({ name, type, shape }));
  }

  /** Weights, in the data file. */
  weight(name: string, { shape, data }: Tensor): string {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    for (let at = 0; at < bytes.length; ) at += writeSync(this.#data, bytes, at, Math.min(bytes.length - at, 1 << 28));
    const entry = (key: string, value: string) => field(13, concat([field(1, text(key)), field(2, text(value))]));
    this.#initializers.push(
      concat([
        ...shape.map((size) => integer(1, size)),
        integer(2, ELEMENT.float32),
        field(8, text(name)),
        entry("location", this.#dataName),
        entry("offset", String(this.#offset)),
        entry("length", String(bytes.length)),
        integer(14, EXTERNAL),
      ]),
    );
    this.#offset += bytes.length;
    return name;
  }

  /** A small whole number, or a list of them. */
  constant(name: string, type: "int32" | "int64", value: number | readonly number[]): string {
    const values = typeof value === "number" ? [value] : value;
    const raw = type === "int64" ? BigInt64Array.from(values.map(BigInt)) : Int32Array.from(values);
    this.#initializers.push(
      concat([
        ...(typeof value === "number" ? [] : [integer(1, values.length)]),
        integer(2, ELEMENT[type]),
        field(8, text(name)),
        field(9, new Uint8Array(raw.buffer)),
      ]),
    );
    return name;
  }

  /**
   * @param inputs an empty name leaves an optional input out
   * @param attributes whole numbers; `{ float }` for others
   * @returns the first output
   */
  node(
    op: string,
    inputs: readonly string[],
    outputs: string | readonly string[],
    attributes: Readonly<Record<string, number | readonly number[] | { readonly float: number }>> = {},
    domain = "",
  ): string {
    const names = typeof outputs === "string" ? [outputs] : outputs;
    this.#nodes.push(
      concat([
        ...inputs.map((name) => field(1, text(name))),
        ...names.map((name) => field(2, text(name))),
        field(3, text(`${op}:${names[0]}`)),
        field(4, text(op)),
        ...Object.entries(attributes).map(([name, value]) => field(5, attributeMessage(name, value))),
        ...(domain === "" ? [] : [field(7, text(domain))]),
      ]),
    );
    return names[0] ?? "";
  }

  /** Writes the model next to its data. */
  write(): void {
    closeSync(this.#data);
    const graph = concat([
      ...this.#nodes.map((node) => field(1, node)),
      field(2, text("main")),
      ...this.#initializers.map((tensor) => field(5, tensor)),
      ...this.#inputs.map((port) => field(11, port)),
      ...this.#outputs.map((port) => field(12, port)),
    ]);
    const opset = (domain: string, version: number) => field(8, concat([field(1, text(domain)), integer(2, version)]));
    const model = [integer(1, 9), field(2, text("sluice-bench")), field(7, graph), opset("", 18), opset(MICROSOFT, 1)];
    writeFileSync(this.path, concat(model));
  }
}

/** The domain of ONNX Runtime's own fused operators. */
export const MICROSOFT = "com.microsoft";

function portMessage({ name, type, shape }: Port): Uint8Array {
  const dimensions = shape.map((size) => field(1, typeof size === "number" ? integer(1, size) : field(2, text(size))));
  const tensorType = concat([integer(1, ELEMENT[type]), field(2, concat(dimensions))]);
  return concat([field(1, text(name)), field(2, field(1, tensorType))]);
}

function attributeMessage(name: string, value: number | readonly number[] | { readonly float: number }): Uint8Array {
  if (typeof value === "number") return concat([field(1, text(name)), integer(3, value), integer(20, ATTRIBUTE.int)]);
  if ("float" in value) {
    const float = new Uint8Array(Float32Array.of(value.float).buffer);
    return concat([field(1, text(name)), varint((2 << 3) | WIRE.fixed32), float, integer(20, ATTRIBUTE.float)]);
  }
  return concat([field(1, text(name)), ...value.map((v) => integer(8, v)), integer(20, ATTRIBUTE.ints)]);
}

function integer(number: number, value: number): Uint8Array {
  return concat([varint((number << 3) | WIRE.varint), varint(value)]);
}

function field(number: number, bytes: Uint8Array): Uint8Array {
  return concat([varint((number << 3) | WIRE.bytes), varint(bytes.length), bytes]);
}

/** Negative numbers take the ten bytes of their 64-bit complement. */
function varint(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 0x80);
  } while (rest !== 0n);
  return Uint8Array.from(bytes);
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

function concat(parts: readonly Uint8Array[]): Uint8Array {
  const out = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
