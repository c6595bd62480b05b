/** What commands about bundles need of the library besides running models: a model's files, opened without a GPU. */

import { loadConfig, openModel } from "../architectures/open-model.ts";
import { SluiceError } from "../errors.ts";
import { openSource } from "../formats/open-source.ts";
import type { FileSource } from "../formats/source.ts";
import { type Baked, type BakeOptions, bake } from "../interventions/bake.ts";
import type { ComposedBundle, ComposeSettings } from "../interventions/bundle-types.ts";
import { compose } from "../interventions/compose.ts";
import type { Composition } from "../interventions/stage.ts";
import type { ModelConfig } from "../model-config.ts";

export { writeBundle } from "../interventions/bundle.ts";
export { remainderOf } from "../interventions/decompose.ts";
export { importControlVector } from "../interventions/import-gguf.ts";
export { listSites } from "../interventions/site-names.ts";

/** A model's config.json; its weights need not be there. */
export async function readModelConfig(model: string, signal: AbortSignal): Promise<ModelConfig> {
  const files = await openSource(model);
  try {
    return await loadConfig(files, () => undefined, signal);
  } finally {
    await files.close();
  }
}

export interface Baking {
  readonly files: FileSource;
  readonly config: ModelConfig;
  readonly composition: Composition;
  readonly baked: Baked;
}

/**
 * Opens a model's files and plans what is to be done to them; tensors are computed when they are read.
 * @returns files to be closed by the caller
 */
export async function openBaked(
  model: string,
  bundles: readonly ComposedBundle[],
  settings: ComposeSettings,
  dtype: NonNullable<BakeOptions["dtype"]>,
  signal: AbortSignal,
): Promise<Baking> {
  const files = await openSource(model);
  try {
    const { config, checkpoint, graph } = await openModel(files, () => undefined, signal);
    if (config.quantization) {
      throw new SluiceError("usage", `${files.label} is quantised, to ${config.quantization}: only floats are baked`, {
        hint: "Bake the float weights that it was made from, then quantise the result.",
      });
    }
    const composition = compose(config, bundles, settings);
    const baked = bake(graph, checkpoint, composition, { dtype });
    return { files, config, composition, baked };
  } catch (error) {
    await files.close();
    throw error;
  }
}
