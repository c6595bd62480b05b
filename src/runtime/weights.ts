/**
 * Weights from files to GPU buffers, streamed: the host never holds more than a few chunks, or a layer's weights where
 * a server only sends whole files.
 */
import type { WeightLayout, WeightMatrix } from "../compile/weight-layout.ts";
import { throwIfAborted } from "../errors.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { HeldTensors, inFileOrder, type Need, needOf } from "../formats/file-order.ts";
import { areFinite, nonFiniteTensor } from "../formats/finite.ts";
import { orderedElement, storedDtype } from "../formats/matrix-source.ts";
import { isQuantFormat, type QuantizationLoss } from "../formats/quantized-block.ts";
import { packQuantizedStrips } from "../formats/quantized-strips.ts";
import { type PackOptions, packStrips, widenStored } from "../formats/strips.ts";
import type { Gpu } from "../gpu/open.ts";
import type { ProgressListener } from "./progress.ts";

export interface GpuWeights {
  /** One buffer for each part of the weight layout, by its index. */
  readonly parts: readonly GPUBuffer[];
  readonly params: GPUBuffer;
  readonly upload: UploadRecord;
}

/** How the weights came onto the device. */
export interface UploadRecord {
  /** The folder or address that they came from; null if there is neither. */
  readonly from: string | null;
  /** `performance.now()` when it began. */
  readonly began: number;
  /** Bytes handed to the device, which are those of the weight layout. */
  readonly bytes: number;
  /** Milliseconds in all; the other three add up to it. */
  readonly ms: number;
  /** Milliseconds of reading files, and of packing or quantising their contents. */
  readonly packMs: number;
  /** Of handing bytes to the queue, which copies them. */
  readonly writeMs: number;
  /** Of waiting for the device. */
  readonly waitMs: number;
}

/** A matrix to upload, or all vectors. */
interface Upload {
  readonly need: Need;
  readonly matrix: WeightMatrix | null;
}

/**
 * The queue keeps its own copy of what it was handed until that is on the device. After this many bytes the upload waits
 * for the device to have the bytes before them, so the queue holds two such windows at most.
 */
const UPLOAD_WINDOW = 8 << 20;

/**
 * Uploads every matrix and vector of the layout.
 * @param error counts what quantising changes
 * @throws SluiceError what reading the files throws; `device_limit` when the device is out of memory; `aborted`
 */
export async function uploadWeights(
  gpu: Gpu,
  layout: WeightLayout,
  checkpoint: Checkpoint,
  onProgress: ProgressListener,
  signal: AbortSignal | undefined,
  error?: QuantizationLoss,
): Promise<GpuWeights> {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST;
  const total = layout.byteLength;
  const parts: GPUBuffer[] = [];
  let done = 0;
  let waiting = 0;
  let earlier: Promise<void> | undefined;
  const began = performance.now();
  const took = { pack: 0, write: 0, wait: 0 };
  let at = began;
  /** Puts the time since its last call down to something. */
  const lap = (doing: keyof typeof took): void => {
    const now = performance.now();
    took[doing] += now - at;
    at = now;
  };
  const { quantized } = checkpoint;
  // Few models need it.
  const ready = quantized && quantized.size > 0 ? await import("../formats/ready-strips.ts") : undefined;
  const packed = (stored: Checkpoint, { source, dtype }: WeightMatrix, range: PackOptions) => {
    if (ready && source.rows.some(({ tensor }) => quantized?.has(tensor))) {
      return ready.packReadyMade(stored, source, dtype, range);
    }
    return isQuantFormat(dtype)
      ? packQuantizedStrips(stored, source, dtype, { ...range, error })
      : packStrips(stored, source, range);
  };
  const uploadMatrix = async (stored: Checkpoint, matrix: WeightMatrix) => {
    const { label, parts: planned } = matrix;
    for (const { index, firstStrip, strips, byteLength } of planned) {
      const buffer = gpu.createBuffer(label, byteLength, usage);
      parts[index] = buffer;
      for await (const chunk of packed(stored, matrix, { firstStrip, strips, signal })) {
        throwIfAborted(signal);
        lap("pack");
        gpu.device.queue.writeBuffer(buffer, chunk.offset, chunk.bytes);
        lap("write");
        done += chunk.bytes.byteLength;
        waiting += chunk.bytes.byteLength;
        if (waiting >= UPLOAD_WINDOW) {
          const window = gpu.idle();
          // If it fails, whoever waits for it next is told.
          window.catch(() => undefined);
          await earlier;
          gpu.checkAlive();
          earlier = window;
          waiting = 0;
          lap("wait");
        }
        onProgress({ phase: "upload", done, total });
      }
    }
  };
  const params = gpu.createBuffer("params", layout.paramsBytes, usage);
  const uploadVectors = async (stored: Checkpoint) => {
    const vectors = await packVectors(layout, stored, signal);
    lap("pack");
    gpu.device.queue.writeBuffer(params, 0, vectors);
    done += vectors.byteLength;
    waiting += vectors.byteLength;
    lap("write");
  };
  const uploads: readonly Upload[] = [
    ...layout.matrices.map((matrix) => ({ need: needOf(matrix.source, checkpoint), matrix })),
    { need: needOfVectors(layout), matrix: null },
  ];
  const inOrder = checkpoint.forwardOnly || checkpoint.readAhead !== undefined;
  const held = inOrder && new HeldTensors(checkpoint);
  for await (const { matrix } of held ? inFileOrder(held, uploads, signal) : uploads) {
    if (matrix) await uploadMatrix(held || checkpoint, matrix);
    else await uploadVectors(held || checkpoint);
  }
  await gpu.checkAllocations();
  await gpu.idle();
  gpu.checkAlive();
  lap("wait");
  onProgress({ phase: "upload", done: total, total });
  const { pack: packMs, write: writeMs, wait: waitMs } = took;
  const from = checkpoint.label ?? null;
  return { parts, params, upload: { from, began, bytes: done, ms: at - began, packMs, writeMs, waitMs } };
}

function needOfVectors({ vectors }: WeightLayout): Need {
  const tensors = new Set(vectors.flatMap(({ source }) => source.pieces.map(({ tensor }) => tensor)));
  return { tensors: [...tensors], streams: false };
}

async function packVectors(
  layout: WeightLayout,
  checkpoint: Checkpoint,
  signal: AbortSignal | undefined,
): Promise<Float32Array<ArrayBuffer>> {
  const params = new Float32Array(layout.paramsBytes / 4);
  const stored = new Map<string, Float32Array>();
  for (const { source, offset4 } of layout.vectors) {
    let begin = offset4 * 4;
    for (const [turn, piece] of source.pieces.entries()) {
      const values = stored.get(piece.tensor) ?? (await readVector(checkpoint, piece.tensor, signal));
      stored.set(piece.tensor, values);
      for (let j = 0; j < piece.count; j++) {
        const at = source.inTurns ? ((j >> 2) * source.pieces.length + turn) * 4 + (j & 3) : j;
        params[begin + at] = values[orderedElement(piece, j)] as number;
      }
      if (!source.inTurns) begin += piece.count;
    }
  }
  return params;
}

async function readVector(
  checkpoint: Checkpoint,
  tensor: string,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const info = checkpoint.tensors.get(tensor);
  if (!info) throw new Error(`Tensor ${tensor} was checked and is gone`);
  const values = widenStored(
    await checkpoint.read(tensor, 0, info.byteLength, signal),
    storedDtype(checkpoint, tensor),
  );
  const error = areFinite(values) ? undefined : await nonFiniteTensor(checkpoint, info, signal);
  if (error) throw error;
  return values;
}
