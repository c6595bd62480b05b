/** A model's configuration, from its files. */
import { SluiceError } from "../errors.ts";
import { noConfig } from "../formats/foreign-folder.ts";
import { type FileSource, readJson } from "../formats/source.ts";
import type { ModelConfig } from "./config.ts";
import { readConfig } from "./read-config.ts";

/** The largest in circulation have some 100 kB. */
const MAX_CONFIG_BYTES = 8_000_000;

/**
 * Reads config.json.
 * @throws `not_found` for a folder without one, saying what the folder is where that is known; `bad_file`, `bad_config`
 */
export async function loadConfig(files: FileSource, signal?: AbortSignal): Promise<ModelConfig> {
  const path = "config.json";
  try {
    return readConfig(await readJson(files, path, signal, MAX_CONFIG_BYTES), files.describe(path));
  } catch (error) {
    const isMissing = error instanceof SluiceError && error.code === "not_found";
    throw isMissing && !(await files.exists(path, signal)) ? await noConfig(files, signal) : error;
  }
}
