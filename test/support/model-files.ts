/** Models in memory: a folder of the repository as the files that a person would pick, quantised, and widened again. */

import { buildGraph } from "../../src/architectures/build.ts";
import { type QuantizedTensors, quantizeTensors } from "../../src/architectures/quantize.ts";
import { readConfig } from "../../src/architectures/read-config.ts";
import { f16ToF32 } from "../../src/formats/half.ts";
import { openCheckpoint } from "../../src/formats/huggingface.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { type StoredTensor, storeFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { readJson } from "../../src/formats/source.ts";
import type { QuantFormat } from "../../src/model-config.ts";

/** A quantised model, read into memory. */
export interface QuantizedFolder {
  readonly quantized: QuantizedTensors;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly config: Readonly<Record<string, unknown>>;
}

/** What `sluice quantize` writes. */
export async function quantizedFolder(source: string, to: QuantFormat): Promise<QuantizedFolder> {
  const files = await openSource(source);
  try {
    const json = (await readJson(files, "config.json")) as Record<string, unknown>;
    const checkpoint = await openCheckpoint(files);
    const quantized = quantizeTensors(
      buildGraph(
        readConfig(json, "config.json", () => undefined),
        checkpoint,
      ),
      checkpoint,
      to,
    );
    const tensors = new Map<string, StoredTensor>();
    for (const [name, { dtype, shape, byteLength, read }] of quantized.tensors) {
      const bytes = new Uint8Array(byteLength);
      let at = 0;
      for await (const chunk of read()) {
        bytes.set(chunk, at);
        at += chunk.length;
      }
      tensors.set(name, { dtype, shape, bytes });
    }
    return { quantized, tensors, config: { ...json, ...quantized.config } };
  } finally {
    await files.close();
  }
}

/** The files of a model. */
export function modelFiles({ tensors, config }: Omit<QuantizedFolder, "quantized">): File[] {
  return [
    new File([JSON.stringify(config)], "config.json"),
    new File([writeSafetensors(tensors)], "model.safetensors"),
  ];
}

/**
 * A quantised folder as one of float32 weights with the same values.
 * @param inputsOf inputs of a matrix, by its tensor's name; whether it is stored `[inputs, outputs]` in the float model
 */
export function widenedFiles(
  folder: QuantizedFolder,
  inputsOf: (name: string) => { readonly inputs: number; readonly transposed: boolean },
): File[] {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of folder.tensors) {
    if (tensor.dtype !== "U8") {
      tensors.set(name, tensor);
      continue;
    }
    const [outputs = 0, blocks = 0, bytes = 0] = tensor.shape;
    const { inputs, transposed } = inputsOf(name);
    const values = new Float32Array(outputs * inputs);
    for (let n = 0; n < outputs; n++) {
      for (let k = 0; k < inputs; k++) {
        const at = (n * blocks + Math.floor(k / 32)) * bytes;
        const byte = (i: number): number => tensor.bytes[at + i] as number;
        const code = bytes === 34 ? byte(2 + (k % 32)) : (byte(2 + ((k % 32) >> 1)) >> (4 * (k & 1))) & 15;
        const range = bytes === 34 ? 256 : 16;
        values[transposed ? k * outputs + n : n * inputs + k] =
          (code < range / 2 ? code : code - range) * f16ToF32(byte(0) + 256 * byte(1));
      }
    }
    tensors.set(name, storeFloat32(values, transposed ? [inputs, outputs] : [outputs, inputs]));
  }
  const { sluice_quantization: _, ...config } = folder.config;
  return modelFiles({ tensors, config });
}
