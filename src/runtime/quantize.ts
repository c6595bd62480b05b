/** A model's folder with quantised weights, written as a stream: the host holds a few chunks of it. */
import { throwIfAborted } from "../errors.ts";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import { openCheckpoint } from "../formats/huggingface.ts";
import { openSource } from "../formats/open-source.ts";
import {
  alreadyQuantized,
  BLOCK_BYTES,
  blockCount,
  checkQuantFormat,
  QUANT_BLOCK,
  QuantizationError,
} from "../formats/quantized-block.ts";
import { storedRows } from "../formats/quantized-strips.ts";
import { layOut } from "../formats/safetensors.ts";
import { type FileSource, readJson } from "../formats/source.ts";
import type { Graph, MatrixRef } from "../graph/graph.ts";
import { buildGraph } from "../models/build.ts";
import type { QuantFormat } from "../models/config.ts";
import { QUANTIZATION_FIELD, readConfig } from "../models/read-config.ts";

/** Where the files of a new model go. */
export interface NewFiles {
  /** Adds to the end of a file, which the first call makes. The bytes may be overwritten once it resolves. */
  append(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>;
}

export interface QuantizeOptions {
  readonly to: QuantFormat;
  readonly signal?: AbortSignal;
  /** Called with the bytes of weights written so far and in all. */
  readonly onProgress?: (done: number, total: number) => void;
}

export interface QuantizedMatrix {
  /** Of the tensor. */
  readonly name: string;
  /** Root of the mean square of the differences, over that of the weights. */
  readonly rms: number;
  /** Largest difference, over the largest weight of its block. */
  readonly max: number;
}

export interface QuantizeReport {
  readonly format: QuantFormat;
  readonly matrices: readonly QuantizedMatrix[];
  /** Over all matrices, as for one. */
  readonly rms: number;
  readonly max: number;
  /** All tensors: as they were, as if all were float32, and as they are now. */
  readonly bytes: { readonly before: number; readonly float32: number; readonly after: number };
}

/** Files that a model's folder may hold beside its weights, and that say nothing of how these are stored. */
const COMPANIONS = [
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
  "chat_template.json",
  "vocab.json",
  "merges.txt",
  "tokenizer.model",
  "LICENSE",
];

const COPY_BYTES = 4 << 20;

/**
 * Quantises a model's linear weights and its token embedding; positions, norms and biases stay as they are. `load` reads
 * what is written, and gets the same numbers as from `load(source, { quantize })`.
 * @param source as for `load`
 * @throws SluiceError what reading throws; `usage` for a model that is quantised already or an unknown format
 */
export async function quantizeModel(
  source: string | URL | readonly File[],
  target: NewFiles,
  { to, signal, onProgress = () => undefined }: QuantizeOptions,
): Promise<QuantizeReport> {
  const format = checkQuantFormat(to);
  throwIfAborted(signal);
  const files = await openSource(source);
  try {
    const json = await readJson(files, "config.json", signal);
    const config = readConfig(json, files.describe("config.json"));
    if (config.quantization) throw alreadyQuantized(files.label, config.quantization);
    const checkpoint = await openCheckpoint(files, signal);
    const matrices = matricesOf(buildGraph(config, checkpoint));
    const report = await writeWeights(checkpoint, matrices, format, target, signal, onProgress);
    for (const path of COMPANIONS) {
      if (await files.exists(path, signal)) await copyFile(files, path, target, signal);
    }
    const marked = { ...(json as object), [QUANTIZATION_FIELD]: { format, block: QUANT_BLOCK } };
    await target.append("config.json", new TextEncoder().encode(`${JSON.stringify(marked, null, 2)}\n`));
    return report;
  } finally {
    await files.close();
  }
}

/** What is quantised, by tensor. */
function matricesOf({ nodes }: Graph): ReadonlyMap<string, MatrixRef> {
  const matrices = new Map<string, MatrixRef>();
  for (const node of nodes) {
    if (node.op === "linear") matrices.set(node.weight.tensor, node.weight);
    else if (node.op === "embed") matrices.set(node.tokens.tensor, node.tokens);
  }
  return matrices;
}

async function writeWeights(
  checkpoint: Checkpoint,
  matrices: ReadonlyMap<string, MatrixRef>,
  format: QuantFormat,
  target: NewFiles,
  signal: AbortSignal | undefined,
  onProgress: (done: number, total: number) => void,
): Promise<QuantizeReport> {
  const before = [...checkpoint.tensors.values()];
  const after = before.map((tensor) => storedAs(tensor, matrices.get(tensor.name), format));
  const { head, names } = layOut(after, { format: "pt" });
  const total = after.reduce((sum, { byteLength }) => sum + byteLength, 0);
  await target.append(WEIGHTS, head);
  let written = 0;
  const write = async (bytes: Uint8Array<ArrayBuffer>): Promise<void> => {
    throwIfAborted(signal);
    await target.append(WEIGHTS, bytes);
    written += bytes.byteLength;
    onProgress(written, total);
  };
  const all = new QuantizationError();
  const done: QuantizedMatrix[] = [];
  for (const name of names) {
    const ref = matrices.get(name);
    if (!ref) {
      await copyTensor(checkpoint, name, write, signal);
      continue;
    }
    const { transposed, tensorOutputs, inputs } = ref;
    const rows = [{ tensor: name, transposed, tensorOutputs, first: 0, count: tensorOutputs }];
    const error = new QuantizationError();
    const chunks = storedRows(checkpoint, { label: name, k: inputs, rows }, tensorOutputs, format, { error, signal });
    for await (const chunk of chunks) await write(chunk);
    all.add(error);
    done.push({ name, rms: error.rms, max: error.worst });
  }
  const float32 = before.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 4), 0);
  const bytes = { before: before.reduce((sum, { byteLength }) => sum + byteLength, 0), float32, after: total };
  return { format, matrices: done, rms: all.rms, max: all.worst, bytes };
}

const WEIGHTS = "model.safetensors";

function storedAs(tensor: TensorInfo, ref: MatrixRef | undefined, format: QuantFormat): TensorInfo {
  if (!ref) return tensor;
  const shape = [ref.tensorOutputs, blockCount(ref.inputs), BLOCK_BYTES[format]];
  return { name: tensor.name, dtype: "U8", shape, byteLength: shape.reduce((a, b) => a * b, 1) };
}

async function copyTensor(
  checkpoint: Checkpoint,
  name: string,
  write: (bytes: Uint8Array<ArrayBuffer>) => Promise<void>,
  signal: AbortSignal | undefined,
): Promise<void> {
  const end = checkpoint.tensors.get(name)?.byteLength ?? 0;
  for (let at = 0; at < end; at += COPY_BYTES) {
    await write(new Uint8Array(await checkpoint.read(name, at, Math.min(at + COPY_BYTES, end), signal)));
  }
}

async function copyFile(
  files: FileSource,
  path: string,
  target: NewFiles,
  signal: AbortSignal | undefined,
): Promise<void> {
  const end = await files.size(path, signal);
  for (let at = 0; at < end; at += COPY_BYTES) {
    await target.append(path, await files.read(path, at, Math.min(at + COPY_BYTES, end), signal));
  }
}
