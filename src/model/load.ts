/** Loading: from files to a model on the GPU. Everything that can be refused is refused before the first upload. */

import { loadGenerationConfig } from "../architectures/generation-config.ts";
import { openModel } from "../architectures/open-model.ts";
import { fuse } from "../compile/fuse.ts";
import { lower } from "../compile/lower.ts";
import { WeightLayout } from "../compile/weight-layout.ts";
import { throwIfAborted } from "../errors.ts";
import { type ModelSource, openSource } from "../formats/open-source.ts";
import { alreadyQuantized, checkQuantFormat, describeError, QuantizationLoss } from "../formats/quantized-block.ts";
import { chooseFamily } from "../gpu/known-devices.ts";
import { openGpu } from "../gpu/open.ts";
import type { KernelFamily } from "../kernels/kernel.ts";
import type { QuantFormat } from "../model-config.ts";
import type { ProgressListener } from "../runtime/progress.ts";
import { uploadWeights } from "../runtime/weights.ts";
import { checkedTokenizer } from "../tokenizer/checked.ts";
import { tryTokenizer } from "../tokenizer/load.ts";
import { loadDoor } from "./doors.ts";
import { Model } from "./model.ts";
import type { ModelParts } from "./model-parts.ts";
import { Tuning, tuneAtLoad } from "./tuning.ts";

export interface LoadOptions {
  /** In Node: `auto`, part of an adapter's name, `swiftshader`, or a Vulkan driver's JSON file. */
  readonly adapter?: string;
  /** A device to use instead of opening one. It stays the caller's: disposing of the model leaves it alone. */
  readonly device?: GPUDevice;
  /** `adapter` (default): as high limits as the adapter has; `default`: WebGPU's guaranteed ones. */
  readonly limits?: "default" | "adapter";
  /** `reference`: one summation order per matrix, so that a token's bits depend on its context alone. */
  readonly plan?: "default" | "reference";
  /** Overrides the choice of kernels for this device, by guess and by tuning. */
  readonly family?: KernelFamily;
  /**
   * Which kernels serve: `false` (default) those that the engine guesses; `remembered` those that were measured on this
   * device before, as far as they were; `true` the same, and where nothing was, they are measured now, for at most ten
   * seconds, unless the model is tiny. The reference plan is never tuned.
   */
  readonly tune?: boolean | "remembered";
  /** Keep linear weights and the token embedding in blocks of 32 with float16 scales, about 0.27 or 0.14 of float32. */
  readonly quantize?: QuantFormat;
  readonly signal?: AbortSignal;
  readonly onProgress?: ProgressListener;
  /** Called with one line worth telling a person, such as that a software GPU is in use. */
  readonly onNotice?: (message: string) => void;
}

/**
 * Loads a Hugging Face folder: config.json, safetensors weights, tokenizer.json and generation_config.json.
 * @param source a folder (Node), an http(s) address of one, or the files a person picked in a page
 * @throws SluiceError `not_found`, `bad_file`, `bad_config`, `bad_weights`, `no_adapter`, `device_limit`, `aborted`
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  loadDoor.read(source, options);
  const { signal } = options;
  throwIfAborted(signal);
  const files = await openSource(source);
  try {
    const note = options.onNotice ?? (() => undefined);
    const { config: stored, checkpoint, graph } = await openModel(files, note, signal);
    const quantize = options.quantize === undefined ? undefined : checkQuantFormat(options.quantize);
    if (quantize && stored.quantization) throw alreadyQuantized(files.label, stored.quantization);
    const quantization = quantize ?? stored.quantization;
    const config = { ...stored, ...(quantization && { quantization }) };
    const generationConfig = await loadGenerationConfig(files, config, note, signal);
    const ops = fuse(graph);
    const { tokenizer, error: tokenizerError } = await tryTokenizer(files, config, signal);
    if (tokenizerError) note(`Only token ids can be run. ${tokenizerError.message.split("\n")[0]}`);

    const gpu = await openGpu(options);
    try {
      const { limits, features } = gpu.profile;
      const layout = new WeightLayout(ops, checkpoint, limits, quantization);
      const family = options.family ?? chooseFamily(gpu.profile);
      const reference = options.plan === "reference";
      // What even the smallest session could not do is said before anything is uploaded.
      const subgroups = features.subgroups !== null;
      lower(graph, ops, layout, { family, reference, subgroups, sequences: 1, capacity: 1, ...limits });
      const onProgress = options.onProgress ?? (() => undefined);
      const error = new QuantizationLoss();
      const weights = await uploadWeights(gpu, layout, checkpoint, onProgress, signal, error);
      if (quantize) note(`Weights quantised to ${quantize}: ${describeError(error)}`);
      const parts: ModelParts = {
        config,
        generationConfig,
        graph,
        ops,
        layout,
        gpu,
        family,
        reference,
        tuning: new Tuning(),
        weights,
        tokenizer: tokenizer && checkedTokenizer(tokenizer),
        tokenizerError,
        onProgress,
        onNotice: note,
      };
      if (options.tune && !reference && options.family === undefined) {
        await tuneAtLoad(parts, options.tune === true, {
          ...(signal && { signal }),
          onProgress: (done, total) => onProgress({ phase: "tune", done, total }),
        });
      }
      return new Model(parts);
    } catch (error) {
      gpu.destroy();
      throw error;
    }
  } finally {
    await files.close();
  }
}
