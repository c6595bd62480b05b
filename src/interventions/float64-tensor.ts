/** Stored tensors as float64 and back. */
import { SluiceError } from "../errors.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { narrowToBf16, narrowToF16, widen } from "../formats/half.ts";

/** A read of this size at a time, so that the stored bytes and their float64 are not both held whole. */
const READ_BYTES = 16 << 20;

/**
 * All elements of an F32, F16 or BF16 tensor.
 * @throws `bad_weights` if there is no such tensor
 */
export async function readFloat64(checkpoint: Checkpoint, name: string, signal?: AbortSignal): Promise<Float64Array> {
  const info = checkpoint.tensors.get(name);
  if (!info) throw new SluiceError("bad_weights", `The weights hold no tensor "${name}"`);
  const elements = new Float64Array(info.shape.reduce((product, size) => product * size, 1));
  let at = 0;
  for (let begin = 0; begin < info.byteLength; begin += READ_BYTES) {
    const end = Math.min(info.byteLength, begin + READ_BYTES);
    const part = widen(info.dtype, await checkpoint.read(name, begin, end, signal));
    elements.set(part, at);
    at += part.length;
  }
  return elements;
}

/**
 * Elements as a stored tensor's bytes, rounded to nearest.
 * @param dtype F32, F16 or BF16
 * @param name of the tensor, for errors
 * @throws `non_finite` for a value that the dtype cannot hold
 */
export function storeFloat64(elements: Float64Array, dtype: string, name: string): Uint8Array {
  const floats = new Float32Array(elements);
  const bits = dtype === "F16" ? narrowToF16(floats) : dtype === "BF16" ? narrowToBf16(floats) : floats;
  const bytes = new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength);
  const bad = widen(dtype, bytes).findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return bytes;
  throw new SluiceError(
    "non_finite",
    `Tensor "${name}" would hold ${elements[bad]} at index ${bad}, which ${dtype} cannot`,
    {
      hint: "Store changed tensors as float32, or lower the strengths.",
    },
  );
}
