/** A model's tensors with quantised weights, computed as they are read: the host holds a few chunks. */
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import { BLOCK_BYTES, blockCount, QUANT_BLOCK, QuantizationLoss } from "../formats/quantized-block.ts";
import { storedRows } from "../formats/quantized-strips.ts";
import { type Graph, isKeptAsStored, type MatrixRef, weightsOf } from "../graph/graph.ts";
import type { QuantFormat } from "../model-config.ts";
import { QUANTIZATION_FIELD } from "./read-config.ts";

export interface QuantizedTensor extends TensorInfo {
  /** Its bytes, in order; each chunk is overwritten by the next. */
  read(signal?: AbortSignal): AsyncIterable<Uint8Array>;
}

export interface QuantizedTensors {
  readonly tensors: ReadonlyMap<string, QuantizedTensor>;
  /** Fields of config.json that must be set for these tensors to be read. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Metadata of the weights' file. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** How far quantising moved the matrices read so far, by tensor. */
  readonly errors: ReadonlyMap<string, QuantizationLoss>;
}

/** Bytes of an unchanged tensor per chunk. */
const COPY_BYTES = 4 << 20;

/**
 * Quantises linear weights and the token embedding; positions, norms and biases stay as they are. A matrix becomes a U8
 * tensor `[outputs, blocks, bytes of a block]`, regardless of its stored orientation.
 * @param graph of the model with float weights
 */
export function quantizeTensors(graph: Graph, checkpoint: Checkpoint, format: QuantFormat): QuantizedTensors {
  const matrices = matricesOf(graph);
  const errors = new Map<string, QuantizationLoss>();
  const tensors = [...checkpoint.tensors.values()].map((tensor): QuantizedTensor => {
    const ref = matrices.get(tensor.name);
    if (!ref) return { ...tensor, read: (signal) => copied(checkpoint, tensor, signal) };
    const { transposed, tensorOutputs, inputs } = ref;
    const shape = [tensorOutputs, blockCount(inputs), BLOCK_BYTES[format]];
    const rows = [{ tensor: tensor.name, transposed, tensorOutputs, first: 0, count: tensorOutputs }];
    return {
      name: tensor.name,
      dtype: "U8",
      shape,
      byteLength: shape.reduce((a, b) => a * b, 1),
      read(signal) {
        const error = new QuantizationLoss();
        errors.set(tensor.name, error);
        const source = { label: tensor.name, k: inputs, rows };
        return storedRows(checkpoint, source, tensorOutputs, format, { error, signal });
      },
    };
  });
  return {
    tensors: new Map(tensors.map((tensor) => [tensor.name, tensor])),
    config: { [QUANTIZATION_FIELD]: { format, block: QUANT_BLOCK } },
    errors,
  };
}

/** The matrices that are quantised, by tensor. */
export function matricesOf({ nodes }: Graph): ReadonlyMap<string, MatrixRef> {
  const matrices = new Map<string, MatrixRef>();
  for (const node of nodes) {
    for (const matrix of weightsOf(node).matrices) {
      if (!isKeptAsStored(node, matrix)) matrices.set(matrix.tensor, matrix);
    }
  }
  return matrices;
}

/** A tensor as it is stored. */
export async function* copied(
  checkpoint: Checkpoint,
  { name, byteLength }: TensorInfo,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < byteLength; at += COPY_BYTES) {
    yield await checkpoint.read(name, at, Math.min(at + COPY_BYTES, byteLength), signal);
  }
}
