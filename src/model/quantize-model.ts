/** A model's weights quantised, from files to files, without a GPU. */
import { openModel } from "../architectures/open-model.ts";
import { quantizeTensors } from "../architectures/quantize.ts";
import { quantizeToMlx } from "../architectures/quantize-mlx.ts";
import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { signal as abortSignal, oneOf } from "../arguments/rules.ts";
import type { ModelSource } from "../formats/open-source.ts";
import { alreadyQuantized, QuantizationLoss } from "../formats/quantized-block.ts";
import { openModelFiles } from "../hub/open-model.ts";
import type { QuantFormat } from "../model-config.ts";
import { type ChangedModel, changedFiles } from "./changed-model.ts";
import { hubChoice, modelSource } from "./doors.ts";
import type { FileOptions } from "./options.ts";

/** What {@link quantizeModel} writes: Sluice's own formats, or MLX's with 4 or 8 bits, which other programs run too. */
export type QuantizeTarget = QuantFormat | "mlx4" | "mlx8";

/** How far quantising moved weights. */
export interface MovedWeights {
  /** Root mean square of the differences, relative to that of the weights. */
  readonly rms: number;
  /** Largest difference, relative to the largest weight of its block of 32, or of MLX's group. */
  readonly max: number;
}

/** What {@link quantizeModel} made of a model. */
export interface QuantizedModel extends ChangedModel {
  /** Bytes of all tensors. */
  readonly bytes: number;
  /** Bytes of the same tensors in float32. */
  readonly float32_bytes: number;
  /** How far quantising moved the matrices read so far: per tensor, and all together. */
  moved(): MovedWeights & { readonly matrices: readonly (MovedWeights & { readonly name: string })[] };
}

export const quantizeModelDoor = entry(
  "quantizeModel",
  ["source", modelSource],
  ["format", oneOf<QuantizeTarget>(["q8", "q4", "mlx4", "mlx8"])],
  optionsOf(fields<FileOptions>()({ hub: hubChoice, signal: abortSignal })),
);

/**
 * Linear weights and the token embedding as whole numbers of 8 or 4 bits: `q8` and `q4` with one float16 scale per 32
 * inputs, `mlx8` and `mlx4` as MLX stores them, with a scale and an offset per 64 inputs (32 if they are no multiple of 64).
 * @param source the model's folder, address or files, with float weights
 * @returns the quantised model's files, computed while they are read; the caller closes it
 * @throws SluiceError errors of reading; `usage` for weights that are already quantised
 */
export async function quantizeModel(
  source: ModelSource,
  format: QuantizeTarget,
  options: FileOptions = {},
): Promise<QuantizedModel> {
  const [place, to, { hub, signal }] = quantizeModelDoor.read(source, format, options);
  const files = await openModelFiles(place, { hub, signal });
  try {
    const { config, checkpoint, graph } = await openModel(files, () => undefined, signal);
    if (config.quantization) throw alreadyQuantized(files.label, config);
    const quantized =
      to === "mlx4" || to === "mlx8"
        ? quantizeToMlx(graph, checkpoint, to === "mlx4" ? 4 : 8)
        : quantizeTensors(graph, checkpoint, to);
    const elements = [...checkpoint.tensors.values()].map(({ shape }) => shape.reduce((a, b) => a * b, 1));
    return {
      files: await changedFiles(files, quantized, signal),
      bytes: [...quantized.tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0),
      float32_bytes: 4 * elements.reduce((a, b) => a + b, 0),
      moved() {
        const all = new QuantizationLoss();
        for (const error of quantized.errors.values()) all.add(error);
        const matrices = [...quantized.errors].map(([name, { rms, max }]) => ({ name, rms, max }));
        return { rms: all.rms, max: all.max, matrices };
      },
      close: () => files.close(),
    };
  } catch (error) {
    await files.close();
    throw error;
  }
}
