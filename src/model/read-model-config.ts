/** Reads a model's config alone, for work that needs no weights. */
import { loadConfig } from "../architectures/open-model.ts";
import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { signal as abortSignal } from "../arguments/rules.ts";
import type { ModelSource } from "../formats/open-source.ts";
import { openModelFiles } from "../hub/open-model.ts";
import type { ModelConfig } from "../model-config.ts";
import { hubChoice, modelSource } from "./doors.ts";
import type { FileOptions } from "./options.ts";

export const readModelConfigDoor = entry(
  "readModelConfig",
  ["source", modelSource],
  optionsOf(fields<FileOptions>()({ hub: hubChoice, signal: abortSignal })),
);

/**
 * Reads config.json; the weights may be missing. `listSites` and `importControlVector` take the result.
 * @param source the model's folder, address or files
 * @throws SluiceError `not_found`, `bad_file`, `bad_config`, `aborted`
 */
export async function readModelConfig(source: ModelSource, options: FileOptions = {}): Promise<ModelConfig> {
  const [place, { hub, signal }] = readModelConfigDoor.read(source, options);
  const files = await openModelFiles(place, { hub, signal, streams: true });
  try {
    return await loadConfig(files, () => undefined, signal);
  } finally {
    await files.close();
  }
}
