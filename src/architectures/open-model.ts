/** Reads a model's configuration and graph from its files. */
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

/** Maximum bytes; the largest known files have about 100 kB. */
const MAX_CONFIG_BYTES = 2_000_000;

/**
 * Reads config.json.
 * @param note receives notices about fields that are ignored or read differently
 * @throws `not_found` for a folder without one, saying what the folder is, if known; `bad_file`, `bad_config`
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

/** A model's files, with all that must be read before its weights. */
export interface OpenedModel {
  readonly config: ModelConfig;
  readonly checkpoint: Checkpoint;
  readonly graph: Graph;
}

/**
 * Reads config.json and the headers of the weights, and builds the graph: every weight that it names is checked
 * to exist and to fit.
 * @param note as for {@link loadConfig}
 * @throws errors of reading; `bad_weights`
 */
export async function openModel(files: FileSource, note: Notice, signal?: AbortSignal): Promise<OpenedModel> {
  const stated = await loadConfig(files, note, signal);
  const checkpoint = await openCheckpoint(files, signal);
  const config = await settleHead(stated, checkpoint, note, signal);
  return { config, checkpoint, graph: buildGraph(config, checkpoint) };
}
