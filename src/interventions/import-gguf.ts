/**
 * Control vectors of llama.cpp and repeng, which are GGUF files of tensors `direction.N`, as bundles. Both add the
 * direction to the stream that leaves block N, counted from 0, so it stands at `resid_post.N`. llama.cpp itself never
 * applies `direction.0`; other writers mean it, and it is taken like the rest.
 */
import { parseGguf } from "../formats/gguf.ts";
import type { StoredTensor } from "../formats/safetensors.ts";
import { show } from "../show.ts";
import type { Bundle } from "./bundle.ts";
import { baseOf, compose } from "./compose.ts";
import { refuse } from "./manifest-fields.ts";
import type { ModelShape } from "./sites.ts";

/**
 * A bundle of one stage `control`: an `addition` at strength 1 and alpha 1, as llama.cpp scales by 1.
 * @param bytes the GGUF file
 * @param file names it in errors, and the bundle without its ending
 * @param config of the model that it is for: the file says little about it
 * @throws `bad_file` for a damaged file; `bad_bundle` where it holds no control vector, or not one for this model
 */
export function importControlVector(bytes: Uint8Array, file: string, config: ModelShape): Bundle {
  const { metadata, tensors } = parseGguf(bytes, file);
  const architecture = metadata.get("general.architecture");
  if (architecture !== "controlvector") {
    throw refuse(file, "general.architecture", `is ${show(architecture)}, not "controlvector"`);
  }
  const directions = new Map<string, StoredTensor>();
  const layers: number[] = [];
  for (const [name, tensor] of tensors) {
    const layer = /^direction\.(\d+)$/.exec(name)?.[1];
    if (layer === undefined) throw refuse(file, `tensor ${name}`, "is no direction.N");
    layers.push(Number(layer));
    directions.set(`control.${Number(layer)}.direction`, tensor);
  }
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
