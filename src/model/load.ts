/** Loading: from files to a model on the GPU. All refusals come before the first upload. */

import { loadGenerationConfig } from "../architectures/generation-config.ts";
import { openModel } from "../architectures/open-model.ts";
import { fuse } from "../compile/fuse.ts";
import { lower } from "../compile/lower.ts";
import { WeightLayout } from "../compile/weight-layout.ts";
import { throwIfAborted } from "../errors.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import type { ModelSource } from "../formats/open-source.ts";
import { withoutWithheld } from "../formats/optional-files.ts";
import { alreadyQuantized, checkQuantFormat, describeError, QuantizationLoss } from "../formats/quantized-block.ts";
import type { FileSource } from "../formats/source.ts";
import { chooseFamily } from "../gpu/known-devices.ts";
import { findAdapter, type Gpu, openFound, openGpu } from "../gpu/open.ts";
import { tensorsOf } from "../graph/graph.ts";
import { openModelFiles } from "../hub/open-model.ts";
import type { DownloadListener } from "../hub/progress.ts";
import { openLinker } from "../kernels/link.ts";
import type { ModelConfig } from "../model-config.ts";
import type { ProgressListener } from "../runtime/progress.ts";
import { uploadWeights } from "../runtime/weights.ts";
import { checkedTokenizer } from "../tokenizer/checked.ts";
import { tryTokenizer } from "../tokenizer/load.ts";
import { loadDoor } from "./doors.ts";
import { type OpenedLora, openLora } from "./lora.ts";
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

/** Weights larger than this are not fetched before it is known that the device can hold them. */
const LARGE_BYTES = 256e6;

/**
 * Loads a Hugging Face folder: config.json, safetensors weights, tokenizer.json and generation_config.json; or a GGUF
 * file, which holds all of these.
 * @param source a folder or GGUF file (Node), an http(s) address of one, the name of a model on the hub such as `org/name`, or the
 *   files that a user picked in a page
 * @throws SluiceError `not_found`, `bad_file`, `bad_config`, `bad_weights`, `no_adapter`, `device_limit`, `aborted`
 */
export async function load(source: ModelSource, options: LoadOptions = {}): Promise<Model> {
  return open(...loadDoor.read(source, options));
}

async function open(source: ModelSource, options: LoadOptions): Promise<Model> {
  const { signal } = options;
  throwIfAborted(signal);
  const note = options.onNotice ?? (() => undefined);
  const onProgress = options.onProgress ?? (() => undefined);
  let opening: Promise<Gpu> | undefined;
  /** Whoever has nothing to run a model on learns it before anything is fetched. The device opens meanwhile. */
  const beginGpu = async (): Promise<void> => {
    if (opening) return;
    const adapter = await findAdapter(options);
    opening = openFound(adapter, options);
    opening.catch(() => undefined);
    onProgress({ phase: "open", done: 0, total: EXPECTED_FILES.length });
  };
  // If this fails, the first kernel tries again and reports the error.
  openLinker().catch(() => undefined);
  let files: FileSource | undefined;
  let lora: OpenedLora | undefined;
  let isOpening = true;
  try {
    files = await openModelFiles(source, {
      signal,
      hub: options.hub,
      onNotice: options.onNotice,
      onDownload: downloadListener(options.onProgress),
      beforeFetching: beginGpu,
      streams: true,
    });
    if (files.expect) await beginGpu();
    lora = await openLora(options.lora, options);
    expectFiles(files, (progress) => isOpening && onProgress(progress), signal);
    const { config: stored, checkpoint, graph } = await openModel(files, note, signal, lora?.adapt);
    const isLarge = sizeOf(checkpoint) > LARGE_BYTES;
    if (!isLarge) checkpoint.readAhead?.(tensorsOf(graph), signal);
    const quantize = options.quantize === undefined ? undefined : checkQuantFormat(options.quantize);
    if (quantize && stored.quantization) throw alreadyQuantized(files.label, stored);
    const quantization = quantize ?? stored.quantization;
    const config = { ...stored, ...(quantization && { quantization }) };
    // What is read for text is small, but much comes one after another. Weights do not wait for it.
    const text = loadText(withoutWithheld(files, note), config, note, signal);
    text.catch(() => undefined);
    const ops = fuse(graph);

    opening ??= openGpu(options);
    const gpu = await opening;
    const { limits, features } = gpu.profile;
    const layout = new WeightLayout(ops, checkpoint, limits, quantization);
    const family = options.family ?? chooseFamily(gpu.profile);
    const reference = options.plan === "reference";
    const cache = options.plan === "f16-cache" ? "f16" : "f32";
    // If even the smallest session is impossible, fail before anything is uploaded.
    const subgroups = features.subgroups !== null;
    lower(graph, ops, layout, { family, reference, cache, subgroups, sequences: 1, capacity: 1, ...limits });
    if (isLarge) checkpoint.readAhead?.(tensorsOf(graph), signal);
    isOpening = false;
    const error = new QuantizationLoss();
    const upload = uploadWeights(gpu, layout, checkpoint, onProgress, signal, error);
    const [weights, textParts] = await Promise.all([upload, text]);
    // What came from a hub may be wrong until its files are verified, and another program may have written into a file.
    await files.settle?.(signal);
    await lora?.settle();
    if (layout.widened.length > 0) note(widenedNotice(layout.widened));
    if (quantize) note(`Weights quantised to ${quantize}: ${describeError(error)}`);
    const parts: ModelParts = {
      config,
      graph,
      ops,
      layout,
      gpu,
      family,
      reference,
      cache,
      tuning: new Tuning(),
      weights,
      ...textParts,
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
    await opening?.then(
      (gpu) => gpu.destroy(),
      () => undefined,
    );
    throw error;
  } finally {
    await files?.close();
    await lora?.close();
  }
}

function sizeOf({ tensors }: Checkpoint): number {
  return [...tensors.values()].reduce((sum, { byteLength }) => sum + byteLength, 0);
}

/** What a model needs beyond its weights to read and write text. */
async function loadText(
  files: FileSource,
  config: ModelConfig,
  note: (message: string) => void,
  signal: AbortSignal | undefined,
): Promise<Pick<ModelParts, "generationConfig" | "tokenizer" | "tokenizerError">> {
  const generationConfig = await loadGenerationConfig(files, config, note, signal);
  const { tokenizer, error: tokenizerError } = await tryTokenizer(files, config, signal);
  if (tokenizerError) note(`Only token ids can be run. ${tokenizerError.message.split("\n")[0]}`);
  return { generationConfig, tokenizer: tokenizer && checkedTokenizer(tokenizer), tokenizerError };
}

/** Has a distant source fetch what most models have, and reports what has come. */
function expectFiles(files: FileSource, onProgress: ProgressListener, signal: AbortSignal | undefined): void {
  if (!files.expect) return;
  const total = EXPECTED_FILES.length;
  files.expect(EXPECTED_FILES, signal, (done) => onProgress({ phase: "open", done, total }));
}

/** Reports a download as a phase like others. */
function downloadListener(onProgress: ProgressListener | undefined): DownloadListener | undefined {
  if (!onProgress) return undefined;
  return (download) => onProgress({ phase: "download", done: download.done, total: download.total, download });
}

function widenedNotice(labels: readonly string[]): string {
  const [first, ...others] = labels;
  const more = others.length > 0 ? ` and ${others.length} more` : "";
  return `The weights of ${first}${more} are quantised in the file and kept as float32 on the device: exact, but larger`;
}
