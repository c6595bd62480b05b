/** From a model's files to its configuration and graph. */
import { SluiceError } from "../errors.ts";
import type { Checkpoint } from "../formats/checkpoint.ts";
import { noConfig } from "../formats/foreign-folder.ts";
import { openCheckpoint } from "../formats/huggingface.ts";
import { type FileSource, readJson } from "../formats/source.ts";
import type { Graph } from "../graph/graph.ts";
import type { ModelConfig } from "../model-config.ts";
import { buildGraph } from "./build.ts";
import type { Notice } from "./config-fields.ts";
import { readConfig } from "./read-config.ts";
import { settleHead } from "./tied-head.ts";

/** The largest in circulation have some 100 kB. */
const MAX_CONFIG_BYTES = 2_000_000;

/**
 * Reads config.json.
 * @param note is told what of it is left out, or read in another way than it says
 * @throws `not_found` for a folder without one, saying what the folder is where that is known; `bad_file`, `bad_config`
 */
export async function loadConfig(files: FileSource, note: Notice, signal?: AbortSignal): Promise<ModelConfig> {
  const path = "config.json";
  try {
    return readConfig(await readJson(files, path, signal, MAX_CONFIG_BYTES), files.describe(path), note);
  } catch (error) {
    const isMissing = error instanceof SluiceError && error.code === "not_found";
    throw isMissing && !(await files.exists(path, signal)) ? await noConfig(files, signal) : error;
  }
}

/** A model's files, read as far as they must be before its weights are. */
export interface OpenedModel {
  readonly config: ModelConfig;
  readonly checkpoint: Checkpoint;
  readonly graph: Graph;
}

/**
 * Reads config.json and the headers of the weights, and builds the graph: every weight that it names is known to be
 * there and to fit.
 * @param note as for {@link loadConfig}
 * @throws what reading throws; `bad_weights`
 */
export async function openModel(files: FileSource, note: Notice, signal?: AbortSignal): Promise<OpenedModel> {
  const stated = await loadConfig(files, note, signal);
  const checkpoint = await openCheckpoint(files, signal);
  const config = await settleHead(stated, checkpoint, note, signal);
  return { config, checkpoint, graph: buildGraph(config, checkpoint) };
}
