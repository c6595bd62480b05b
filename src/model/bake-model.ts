/** Interventions multiplied into a model's weights, from files to files, without a GPU. */
import { openModel } from "../architectures/open-model.ts";
import { QUANTIZATION_FIELD } from "../architectures/read-config.ts";
import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { signal as abortSignal, callback, oneOf } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import { dequantized } from "../formats/dequantized.ts";
import type { ModelSource } from "../formats/open-source.ts";
import { isQuantFormat } from "../formats/quantized-block.ts";
import { openModelFiles } from "../hub/open-model.ts";
import type { HubChoice } from "../hub/open-options.ts";
import {
  type BundleInput,
  bundles as bundleList,
  composeSettings,
  type PrefixedBundle,
  type SettingsInput,
} from "../interventions/arguments.ts";
import { type BakeOptions, bake } from "../interventions/bake.ts";
import type { KeptStage } from "../interventions/bake-plan.ts";
import type { Bundle } from "../interventions/bundle-types.ts";
import { compose } from "../interventions/compose.ts";
import { remainderOf } from "../interventions/decompose.ts";
import { type ChangedModel, changedFiles } from "./changed-model.ts";
import { hubChoice, modelSource } from "./doors.ts";

/** How {@link bakeModel} bakes. */
export interface BakeModelOptions extends BakeOptions {
  /** Strengths, alphas and positions by stage id, instead of the bundles' own; digests that bundles are compared with. */
  readonly settings?: SettingsInput;
  /** As for {@link load}. */
  readonly hub?: HubChoice;
  /** Ends the work with the error `aborted`. */
  readonly signal?: AbortSignal;
  /** Called with notices for the user, for example if a bundle was made for other weights. */
  readonly onNotice?: (message: string) => void;
}

/** What {@link bakeModel} made of a model. */
export interface BakedModel extends ChangedModel {
  /** How many tensors differ from the stored ones. */
  readonly changed: number;
  /** How many tensors there are. */
  readonly tensors: number;
  /** Stages that no weight can take, per layer, with the reason. */
  readonly kept: readonly KeptStage[];
  /** Those stages as a bundle for the baked model; null if everything was baked. */
  readonly remainder: Bundle | null;
}

/** Fields of config.json that float weights must not have. */
const NOT_QUANTISED = { quantization: undefined, quantization_config: undefined, [QUANTIZATION_FIELD]: undefined };

export const bakeModelDoor = entry(
  "bakeModel",
  ["source", modelSource],
  ["bundles", bundleList],
  optionsOf(
    fields<BakeModelOptions>()({
      dtype: oneOf(["f32", "stored"]),
      settings: composeSettings,
      hub: hubChoice,
      signal: abortSignal,
      onNotice: callback<(message: string) => void>(),
    }),
  ),
);

/**
 * Multiplies interventions into weights where that is exact: neuron scales, additions, and projections at outputs and at
 * the embedding, at their strengths. The stages left over are `remainder`.
 * @param source the model's folder, address or files, with float weights, or with MLX's or GGUF's, which become float32
 * @param bundles in the order in which they act
 * @returns the baked model's files, computed while they are read; the caller closes it
 * @throws SluiceError as `load` and `model.with`; `usage` for weights in q8 or q4
 */
export async function bakeModel(
  source: ModelSource,
  bundles: readonly (BundleInput | PrefixedBundle)[],
  options: BakeModelOptions = {},
): Promise<BakedModel> {
  const [place, given, { dtype = "f32", settings = {}, hub, signal, onNotice }] = bakeModelDoor.read(
    source,
    bundles,
    options,
  );
  const files = await openModelFiles(place, { hub, signal, onNotice });
  try {
    const { config, checkpoint, graph } = await openModel(files, () => undefined, signal);
    if (isQuantFormat(config.quantization)) {
      throw new SluiceError(
        "usage",
        `${files.label} is quantised, to ${config.quantization}: only float weights can be baked`,
        {
          hint: "Bake the float weights that it was made from, then quantise the result.",
        },
      );
    }
    const composition = compose(config, given, settings);
    for (const warning of composition.warnings) onNotice?.(warning);
    const baked = bake(graph, dequantized(checkpoint), composition, { dtype });
    const changes = config.quantization ? { ...baked, config: { ...baked.config, ...NOT_QUANTISED } } : baked;
    return {
      files: await changedFiles(files, changes, signal),
      changed: [...baked.tensors.values()].filter((tensor) => tensor.changed).length,
      tensors: baked.tensors.size,
      kept: baked.kept,
      remainder: baked.kept.length > 0 ? remainderOf(config, composition, baked.kept, "remainder") : null,
      close: () => files.close(),
    };
  } catch (error) {
    await files.close();
    throw error;
  }
}
