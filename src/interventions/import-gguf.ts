/**
 * Control vectors of llama.cpp and repeng, which are GGUF files of tensors `direction.N`, as bundles. Both add the
 * direction to the stream that leaves block N, counted from 0, so it acts at `resid_post.N`. llama.cpp itself never
 * applies `direction.0`; other writers mean it, and it is taken like the rest.
 */

import { entry, optional } from "../arguments/entry.ts";
import { bytes as anyBytes, callback, fileName } from "../arguments/rules.ts";
import { type GgufFile, parseGguf } from "../formats/gguf/whole-file.ts";
import type { StoredTensor } from "../formats/safetensors.ts";
import { show, showText } from "../show.ts";
import { modelShape } from "./arguments.ts";
import type { Bundle } from "./bundle-types.ts";
import { baseOf, compose } from "./compose.ts";
import { refuse } from "./manifest-fields.ts";
import type { ModelShape } from "./sites.ts";
import { layerTensorName } from "./tensor-names.ts";

export const importDoor = entry(
  "importControlVector",
  ["bytes", anyBytes],
  ["file", fileName],
  ["config", modelShape],
  ["onWarning", optional(callback<(text: string) => void>())],
);

/**
 * A bundle of one stage `control`: an `addition` at strength 1 and alpha 1, as llama.cpp scales by 1.
 * @param bytes the GGUF file
 * @param file names it in errors, and the bundle without its ending
 * @param config of the model that it is for: the file says little about it
 * @param onWarning told what makes it doubtful that the vector is for this model
 * @throws `bad_file` for a damaged file; `bad_bundle` if it holds no control vector, or one for another model
 */
export function importControlVector(
  bytes: Uint8Array,
  file: string,
  config: ModelShape,
  onWarning: (text: string) => void = () => undefined,
): Bundle {
  const [whole] = importDoor.read(bytes, file, config, onWarning);
  const { metadata, tensors } = parseGguf(whole, file);
  const byLayer = directionsOf({ metadata, tensors }, file);
  const layers = [...byLayer.keys()];
  const directions = new Map(
    [...byLayer].map(([layer, tensor]) => [layerTensorName("control", layer, "direction"), tensor]),
  );
  warnOfOthers(metadata, layers, file, config, onWarning);
  const name = file.replace(/^.*[\\/]/, "").replace(/\.gguf$/i, "");
  const manifest = {
    name,
    base: baseOf(config),
    stages: [
      {
        id: "control",
        kind: "affine",
        method: "addition",
        site: "resid_post",
        layers: layers.sort((a, b) => a - b),
      } as const,
    ],
    fit: { imported: "control vector (GGUF)", model_hint: metadata.get("controlvector.model_hint") ?? null },
  };
  const bundle = { file, manifest, tensors: directions, metadata: new Map() };
  compose(config, [{ bundle }]);
  return bundle;
}

/**
 * The directions of a control vector by the numbers that the file gives them.
 * @throws `bad_bundle` for a file that is no control vector
 */
export function directionsOf({ metadata, tensors }: GgufFile, file: string): ReadonlyMap<number, StoredTensor> {
  const architecture = metadata.get("general.architecture");
  if (architecture !== "controlvector") {
    throw refuse(file, "general.architecture", `is ${show(architecture)}, not "controlvector"`);
  }
  const directions = new Map<number, StoredTensor>();
  for (const [name, tensor] of tensors) {
    const layer = /^direction\.(\d+)$/.exec(name)?.[1];
    if (layer === undefined) throw refuse(file, `tensor ${showText(name)}`, "is not a direction.N");
    directions.set(Number(layer), tensor);
  }
  return directions;
}

/** What writers put if they do not know. */
const NO_HINTS: readonly unknown[] = ["", "unknown"];

/** What the file says of the model that it was made for, if that is another kind or size. */
export function warnOfOthers(
  metadata: ReadonlyMap<string, unknown>,
  layers: readonly number[],
  file: string,
  config: ModelShape,
  onWarning: (text: string) => void,
): void {
  const hint = metadata.get("controlvector.model_hint");
  if (hint !== undefined && !NO_HINTS.includes(hint) && !isSameKind(hint, config.model_type)) {
    onWarning(
      `${file} was made for a model of the kind ${show(hint)} (controlvector.model_hint), and this one is of the type "${config.model_type}": its directions may mean nothing here`,
    );
  }
  // llama.cpp counts the directions; others write the model's layers.
  const count = metadata.get("controlvector.layer_count");
  const plausible = [layers.length, config.num_hidden_layers, config.num_hidden_layers - 1];
  if (count !== undefined && !plausible.some((layer) => layer === Number(count))) {
    onWarning(
      `${file} says that it was made for ${show(count)} layers (controlvector.layer_count), and this model has ${config.num_hidden_layers}`,
    );
  }
  const highest = Math.max(...layers);
  if (layers.length > 1 && highest < config.num_hidden_layers - 2) {
    onWarning(
      `${file} has directions up to layer ${highest}, and this model's layers go up to ${config.num_hidden_layers - 1}: it may be another model's`,
    );
  }
}

/** Writers name the architecture as llama.cpp does, or as transformers does, or a model: `llama`, `Qwen2ForCausalLM`. */
function isSameKind(hint: unknown, modelType: string): boolean {
  if (typeof hint !== "string") return false;
  const plain = (text: string): string => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  return plain(hint).replace(/forcausallm$|lmheadmodel$/, "") === plain(modelType);
}
