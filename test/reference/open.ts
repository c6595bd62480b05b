/** Opens a model for the reference, from wherever the engine opens one. */

import { readConfig } from "../../src/architectures/read-config.ts";
import { openCheckpoint } from "../../src/formats/huggingface.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { readJson } from "../../src/formats/source.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import { arrange, type ReferenceWeights, readTensors } from "./weights.ts";

export interface ReferenceModel {
  readonly config: ModelConfig;
  readonly weights: ReferenceWeights;
}

/** @param from a path in Node, an address in a page, or the files of a folder */
export async function openReference(from: string | readonly File[]): Promise<ReferenceModel> {
  const source = await openSource(from);
  try {
    const config = readConfig(await readJson(source, "config.json"), "config.json");
    return { config, weights: arrange(await readTensors(await openCheckpoint(source)), config) };
  } finally {
    await source.close();
  }
}
