/** Loading: from files to a model on the GPU. All refusals come before the first upload. */

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
import { tensorsOf } from "../graph/graph.ts";
import { openLinker } from "../kernels/link.ts";
import { uploadWeights } from "../runtime/weights.ts";
import { checkedTokenizer } from "../tokenizer/checked.ts";
import { tryTokenizer } from "../tokenizer/load.ts";
import { loadDoor } from "./doors.ts";
import { Model } from "./model.ts";
import { type ModelParts, Tuning } from "./model-parts.ts";
import type { LoadOptions } from "./options.ts";
import { tuneAtLoad } from "./tuning.ts";

/** What most models have, in the order of need: a distant source fetches them together. */
const EXPECTED_FILES: readonly string[] = [
  "config.json",
  "model.safetensors",
  "model.safetensors.index.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "generation_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  "chat_template.jinja",
];

/**
 * Loads a Hugging Face folder: config.json, safetensors weights, tokenizer.json and generation_config.json.
 * @param source a folder (Node), an http(s) address of one, or the files that a user picked in a page
 * @throws SluiceError `not_found`, `bad_file`, `bad_config`, `bad_weights`, `no_adapter`, `device_limit`, `aborted`
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  loadDoor.read(source, options);
  const { signal } = options;
  throwIfAborted(signal);
  const files = await openSource(source);
  // If this fails, the first kernel tries again and reports the error.
  openLinker().catch(() => undefined);
  try {
    const note = options.onNotice ?? (() => undefined);
    files.expect?.(EXPECTED_FILES, signal);
    const { config: stored, checkpoint, graph } = await openModel(files, note, signal);
    checkpoint.readAhead?.(tensorsOf(graph), signal);
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
      // If even the smallest session is impossible, fail before anything is uploaded.
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
