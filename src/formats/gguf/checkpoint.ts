/**
 * The weights of GGUF files as a Hugging Face folder holds them: its names, its orientation of GPT-2's matrices, its order
 * of the rows of heads. Quantised matrices stay what they are, one row per output.
 */
import { SluiceError } from "../../errors.ts";
import { show } from "../../show.ts";
import type { Checkpoint, TensorInfo } from "../checkpoint.ts";
import { dequantize } from "../dequantized.ts";
import { withFiniteScales } from "../finite.ts";
import type { QuantizedMatrix, QuantizedRows, TensorReader } from "../quantized-matrix.ts";
import type { Span } from "../read-ahead.ts";
import { checkRange, type FileSource } from "../source.ts";
import { LastTurned, turn } from "../turned.ts";
import { BLOCK_CODECS, type BlockCodec, unpackBlocks } from "./blocks.ts";
import type { Architecture } from "./config.ts";
import { HeadOrder } from "./head-order.ts";
import { type GgufHeader, type GgufTensor, readTensor } from "./header.ts";
import { type Arrangement, huggingFaceName, isRopeTensor } from "./tensor-names.ts";

/** One of the files, and its header. */
export interface GgufPart {
  readonly file: string;
  readonly header: GgufHeader;
}

/** What the order of rows depends on. */
export interface Heads {
  readonly head_dim: number;
}

/** Bytes of one element of the float types. */
const FLOAT_BYTES: ReadonlyMap<string, number> = new Map([
  ["F32", 4],
  ["F16", 2],
  ["BF16", 2],
]);

/** A tensor as it is presented, and where it comes from. */
interface Stored {
  readonly info: TensorInfo;
  readonly part: GgufPart;
  readonly tensor: GgufTensor;
  readonly arrangement: Arrangement;
  /** For quantised tensors that are presented as float32. */
  readonly widen?: BlockCodec;
}

/**
 * @param source is closed with the checkpoint
 * @param parts whose tensors are all different
 * @throws `bad_weights` for a tensor of a type that is not read, or that the architecture does not have
 */
export function openGgufCheckpoint(
  source: FileSource,
  label: string,
  parts: readonly GgufPart[],
  arch: Architecture,
  heads: Heads,
): Checkpoint {
  return new GgufCheckpoint(source, label, parts, arch, heads);
}

class GgufCheckpoint implements Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly quantized: ReadonlyMap<string, QuantizedMatrix>;
  readonly label: string;
  readonly forwardOnly: boolean;
  readonly readAhead?: NonNullable<Checkpoint["readAhead"]>;
  readonly #source: FileSource;
  readonly #stored = new Map<string, Stored>();
  readonly #heads: Heads;
  readonly #turned = new LastTurned();

  constructor(source: FileSource, label: string, parts: readonly GgufPart[], arch: Architecture, heads: Heads) {
    this.#source = source;
    this.#heads = heads;
    this.label = label;
    this.forwardOnly = parts.some(({ file }) => source.isForwardOnly(file));
    if (source.readAhead) this.readAhead = (names, signal) => this.#readAhead(names, signal);
    const quantized = new Map<string, QuantizedMatrix>();
    for (const part of parts) {
      for (const tensor of part.header.tensors.values()) {
        if (isRopeTensor(tensor.name)) continue;
        const named = huggingFaceName(arch, tensor.name);
        if (!named) throw unknownTensor(tensor, arch, source.describe(part.file));
        const { name, arrangement, isMatrix } = named;
        const codec = codecOf(tensor, source.describe(part.file));
        const isKept = codec !== undefined && isMatrix && tensor.shape.length === 2;
        const info = presented(name, tensor, arrangement, codec, isKept);
        this.#stored.set(name, { info, part, tensor, arrangement, ...(codec && !isKept && { widen: codec }) });
        if (isKept) quantized.set(name, withFiniteScales(this.#matrix(name, tensor, arrangement, codec), info));
      }
    }
    this.tensors = new Map([...this.#stored].map(([name, { info }]) => [name, info]));
    this.quantized = quantized;
  }

  async read(name: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array> {
    const stored = this.#stored.get(name);
    if (!stored) throw new SluiceError("bad_weights", `${this.label} has no tensor "${name}"`);
    const { info, part, arrangement, widen } = stored;
    const where = `${this.#source.describe(part.file)}: tensor "${name}"`;
    checkRange(where, begin, end);
    if (end > info.byteLength) {
      throw new SluiceError("usage", `${where} has ${info.byteLength} bytes; ${begin} to ${end} were requested`);
    }
    const size = FLOAT_BYTES.get(info.dtype);
    // Blocks are read as they are stored.
    if (size === undefined) return this.#raw(stored, begin, end, signal);
    if (arrangement === "turned") return this.#turned.read(name, begin, end, () => this.#turn(stored, signal));
    const rows = (from: number, to: number): Promise<Uint8Array> =>
      widen ? this.#widened(stored, widen, from, to, signal) : this.#raw(stored, from, to, signal);
    const order = this.#orderOf(arrangement);
    if (!order) return rows(begin, end);
    return order.readBytes(rows, size * rowLength(info), begin, end);
  }

  close(): Promise<void> {
    this.#turned.clear();
    return this.#source.close();
  }

  /** Bytes [begin, end) of a tensor as the file has them. */
  #raw(
    { part, tensor }: Stored,
    begin: number,
    end: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array<ArrayBuffer>> {
    return readTensor(this.#source, part.file, part.header, tensor, begin, end, signal);
  }

  /** Bytes [begin, end) of a quantised tensor as float32. */
  async #widened(
    stored: Stored,
    codec: BlockCodec,
    begin: number,
    end: number,
    signal: AbortSignal | undefined,
  ): Promise<Uint8Array> {
    const { block, bytes, coding } = codec;
    const first = Math.floor(begin / 4 / block);
    const last = Math.ceil(end / 4 / block);
    const blocks = await this.#raw(stored, first * bytes, last * bytes, signal);
    const values = dequantize(unpackBlocks(codec, blocks), { inputs: block, coding });
    return new Uint8Array(values.buffer).slice(begin - first * block * 4, end - first * block * 4);
  }

  async #turn(stored: Stored, signal: AbortSignal | undefined): Promise<Uint8Array> {
    const [inputs = 0, outputs = 0] = stored.info.shape;
    return turn(await this.#raw(stored, 0, stored.tensor.byteLength, signal), outputs, inputs);
  }

  #matrix(name: string, tensor: GgufTensor, arrangement: Arrangement, codec: BlockCodec): QuantizedMatrix {
    const [outputs = 0, inputs = 0] = tensor.shape;
    const rowBytes = (inputs / codec.block) * codec.bytes;
    const order = this.#orderOf(arrangement);
    return {
      outputs,
      inputs,
      coding: codec.coding,
      tensors: [name],
      format: tensor.dtype,
      ...(arrangement === "turned" && { turned: true }),
      async readRows(stored: TensorReader, first, end, signal): Promise<QuantizedRows> {
        const read = (begin: number, last: number) => stored.read(name, begin, last, signal);
        const from = first * rowBytes;
        const bytes = await (order
          ? order.readBytes(read, rowBytes, from, end * rowBytes)
          : read(from, end * rowBytes));
        return unpackBlocks(codec, bytes);
      },
    };
  }

  #orderOf(arrangement: Arrangement): HeadOrder | undefined {
    return arrangement === "pairs" ? new HeadOrder(this.#heads.head_dim) : undefined;
  }

  #readAhead(names: ReadonlySet<string>, signal: AbortSignal | undefined): void {
    const spans = new Map<string, Span[]>();
    for (const name of names) {
      const stored = this.#stored.get(name);
      if (!stored) continue;
      const { file, header } = stored.part;
      const begin = Math.max(stored.tensor.begin, header.head.length);
      const end = stored.tensor.begin + stored.tensor.byteLength;
      if (begin >= end) continue;
      const others = spans.get(file);
      if (others) others.push({ begin, end });
      else spans.set(file, [{ begin, end }]);
    }
    for (const [file, list] of spans) this.#source.readAhead?.(file, list, signal);
  }
}

/** The shape and dtype under which a tensor is presented. */
function presented(
  name: string,
  { name: storedAs, dtype, shape, byteLength }: GgufTensor,
  arrangement: Arrangement,
  codec: BlockCodec | undefined,
  isKept: boolean,
): TensorInfo {
  if (isKept) return { name, storedAs, dtype, shape, byteLength };
  const turned = arrangement === "turned" && shape.length === 2 ? [...shape].reverse() : shape;
  if (!codec) return { name, storedAs, dtype, shape: turned, byteLength };
  return { name, storedAs, dtype: "F32", shape: turned, byteLength: 4 * turned.reduce((a, b) => a * b, 1) };
}

/** Elements of a row: 1 for a vector, whose elements are rows. */
function rowLength({ shape }: TensorInfo): number {
  return shape.slice(1).reduce((a, b) => a * b, 1);
}

/** Left out, it would change the results silently. */
function unknownTensor({ name }: GgufTensor, arch: string, where: string): SluiceError {
  return new SluiceError("bad_weights", `${where}: tensor ${show(name)} is not one that models of ${arch} have`, {
    hint: "It is a variant of the architecture that is not supported. Use the model's safetensors, if they are.",
  });
}

function codecOf({ name, dtype }: GgufTensor, where: string): BlockCodec | undefined {
  if (FLOAT_BYTES.has(dtype)) return undefined;
  const codec = BLOCK_CODECS.get(dtype);
  if (codec) return codec;
  const known = [...FLOAT_BYTES.keys(), ...BLOCK_CODECS.keys()].join(", ");
  throw new SluiceError(
    "bad_weights",
    `${where}: tensor ${show(name)} is stored as ${dtype}; the types read are ${known}`,
    {
      hint: "Use a file of the same model in another quantisation, such as Q4_K_M, Q5_K_M, Q6_K or Q8_0.",
    },
  );
}
