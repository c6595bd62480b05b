/** What `sluice quantize` needs of the library: a model's files and their quantised form, without a GPU. */

import { openModel } from "../architectures/open-model.ts";
import { type QuantizedModel, quantizeModel } from "../architectures/quantize.ts";
import { openSource } from "../formats/open-source.ts";
import { alreadyQuantized } from "../formats/quantized-block.ts";
import type { FileSource } from "../formats/source.ts";
import type { QuantFormat } from "../model-config.ts";

export { QuantizationLoss } from "../formats/quantized-block.ts";

export interface Quantizing {
  readonly files: FileSource;
  readonly quantized: QuantizedModel;
  /** All tensors, as if all were float32. */
  readonly float32Bytes: number;
}

/**
 * Opens a model's files; tensors are quantised when they are read.
 * @returns files to be closed by the caller
 * @throws SluiceError what reading throws; `usage` for a model that is quantised already
 */
export async function openQuantized(model: string, format: QuantFormat, signal: AbortSignal): Promise<Quantizing> {
  const files = await openSource(model);
  try {
    const { config, checkpoint, graph } = await openModel(files, () => undefined, signal);
    if (config.quantization) throw alreadyQuantized(files.label, config.quantization);
    const quantized = quantizeModel(graph, checkpoint, format);
    let float32Bytes = 0;
    for (const { shape } of checkpoint.tensors.values()) float32Bytes += shape.reduce((a, b) => a * b, 4);
    return { files, quantized, float32Bytes };
  } catch (error) {
    await files.close();
    throw error;
  }
}
