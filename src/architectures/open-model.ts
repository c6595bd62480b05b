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
import { readMlx } from "./read-mlx.ts";
import { settleHead } from "./tied-head.ts";

const CONFIG = "config.json";

/** Maximum bytes; the largest known files have about 100 kB. */
const MAX_CONFIG_BYTES = 2_000_000;

/**
 * Reads config.json.
 * @param note receives notices about fields that are ignored or read differently
 * @throws `not_found` for a folder without one, saying what the folder is, if known; `bad_file`, `bad_config`
 */
export async function loadConfig(files: FileSource, note: Notice, signal?: AbortSignal): Promise<ModelConfig> {
  return readConfig(await configJson(files, signal), files.describe(CONFIG), note);
}

async function configJson(files: FileSource, signal?: AbortSignal): Promise<unknown> {
  try {
    return await readJson(files, CONFIG, signal, MAX_CONFIG_BYTES);
  } catch (error) {
    const isMissing = error instanceof SluiceError && error.code === "not_found";
    throw isMissing && !(await files.exists(CONFIG, signal)) ? await noConfig(files, signal) : error;
  }
}

/** A model's files, with all that must be read before its weights. */
export interface OpenedModel {
  readonly config: ModelConfig;
  readonly checkpoint: Checkpoint;
  readonly graph: Graph;
}

/** Changes weights before anything else is read of them, for example by merging adapters. */
export type Adapt = (stored: Checkpoint, config: ModelConfig) => Checkpoint;

/**
 * Reads config.json and the headers of the weights, and builds the graph: every weight that it names is checked
 * to exist and to fit.
 * @param note as for {@link loadConfig}
 * @throws errors of reading; `bad_weights`
 */
export async function openModel(
  files: FileSource,
  note: Notice,
  signal?: AbortSignal,
  adapt: Adapt = (stored) => stored,
): Promise<OpenedModel> {
  const json = await configJson(files, signal);
  const stated = readConfig(json, files.describe(CONFIG), note);
  const stored = await openCheckpoint(files, signal);
  const isMlx = stated.quantization === "mlx";
  const checkpoint = adapt(isMlx ? await asMlx(stored, json, files.describe(CONFIG)) : stored, stated);
  const config = await settleHead(stated, checkpoint, note, signal);
  return { config, checkpoint, graph: buildGraph(config, checkpoint) };
}

/** Few models need it, so it is imported late. */
async function asMlx(stored: Checkpoint, json: unknown, label: string): Promise<Checkpoint> {
  const { mlxCheckpoint } = await import("../formats/mlx.ts");
  return mlxCheckpoint(stored, readMlx(json, label));
}
