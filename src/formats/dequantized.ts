/** A checkpoint whose quantised matrices are presented as float32 tensors `[outputs, inputs]` of the weights that they mean. */
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import type { QuantizedMatrix, QuantizedRows } from "./quantized-matrix.ts";

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
  return {
    tensors,
    ...(missing && { missing }),
    ...(label !== undefined && { label }),
    ...(forwardOnly !== undefined && { forwardOnly }),
    async read(name, begin, end, signal) {
      const matrix = quantized.get(name);
      if (!matrix) return checkpoint.read(name, begin, end, signal);
      const rowBytes = matrix.inputs * 4;
      const first = Math.floor(begin / rowBytes);
      const rows = await matrix.readRows(checkpoint, first, Math.ceil(end / rowBytes), signal);
      const bytes = new Uint8Array(dequantize(rows, matrix).buffer);
      return bytes.slice(begin - first * rowBytes, end - first * rowBytes);
    },
    close: () => checkpoint.close(),
  };
}

function floatInfo(name: string, { outputs, inputs }: QuantizedMatrix): TensorInfo {
  return { name, dtype: "F32", shape: [outputs, inputs], byteLength: outputs * inputs * 4 };
}
