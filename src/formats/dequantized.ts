/**
 * A checkpoint whose quantised matrices are presented as float32 tensors of the weights that they mean, `[outputs, inputs]`
 * or, if a float file holds them so, `[inputs, outputs]`.
 */
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import type { QuantizedMatrix, QuantizedRows } from "./quantized-matrix.ts";
import { LastTurned, turn } from "./turned.ts";

/** The weights of some outputs, [rows][inputs]. */
export function dequantize(
  { codes, scales, offsets }: QuantizedRows,
  { inputs, coding: { bits, signed, group } }: Pick<QuantizedMatrix, "inputs" | "coding">,
): Float32Array<ArrayBuffer> {
  const weights = new Float32Array(codes.length);
  const unused = 32 - bits;
  for (let first = 0, at = 0; first < codes.length; first += group, at++) {
    const scale = scales[at] as number;
    const offset = offsets?.[at] ?? 0;
    for (let i = first; i < first + group; i++) {
      const code = codes[i] as number;
      weights[i] = (signed ? (code << unused) >> unused : code) * scale + offset;
    }
  }
  if (inputs % group !== 0) throw new Error(`${inputs} inputs are not groups of ${group}`);
  return weights;
}

/** Closing it closes the checkpoint. A read takes whole outputs; the caller should ask for whole outputs, and many. */
export function dequantized(checkpoint: Checkpoint): Checkpoint {
  const { quantized } = checkpoint;
  if (!quantized || quantized.size === 0) return checkpoint;
  const hidden = new Set([...quantized.values()].flatMap(({ tensors }) => tensors));
  const tensors = new Map<string, TensorInfo>();
  for (const [name, info] of checkpoint.tensors) {
    const matrix = quantized.get(name);
    if (matrix) tensors.set(name, floatInfo(name, matrix));
    else if (!hidden.has(name)) tensors.set(name, info);
  }
  const { missing, label, forwardOnly } = checkpoint;
  const lastTurned = new LastTurned();
  const weights = async (matrix: QuantizedMatrix, first: number, end: number, signal: AbortSignal | undefined) =>
    new Uint8Array(dequantize(await matrix.readRows(checkpoint, first, end, signal), matrix).buffer);
  return {
    tensors,
    ...(missing && { missing }),
    ...(label !== undefined && { label }),
    ...(forwardOnly !== undefined && { forwardOnly }),
    async read(name, begin, end, signal) {
      const matrix = quantized.get(name);
      if (!matrix) return checkpoint.read(name, begin, end, signal);
      const { outputs, inputs } = matrix;
      if (matrix.turned) {
        return lastTurned.read(name, begin, end, async () =>
          turn(await weights(matrix, 0, outputs, signal), outputs, inputs),
        );
      }
      const rowBytes = inputs * 4;
      const first = Math.floor(begin / rowBytes);
      const bytes = await weights(matrix, first, Math.ceil(end / rowBytes), signal);
      return bytes.slice(begin - first * rowBytes, end - first * rowBytes);
    },
    close() {
      lastTurned.clear();
      return checkpoint.close();
    },
  };
}

function floatInfo(name: string, { outputs, inputs, turned }: QuantizedMatrix): TensorInfo {
  const shape = turned ? [inputs, outputs] : [outputs, inputs];
  return { name, dtype: "F32", shape, byteLength: outputs * inputs * 4 };
}
