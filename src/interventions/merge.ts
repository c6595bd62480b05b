/** Several bundles as one file. */

import { entry } from "../arguments/entry.ts";
import { fileName } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import type { StoredTensor } from "../formats/safetensors.ts";
import { show } from "../show.ts";
import { type BundleInput, bundles as bundleList, type PrefixedBundle } from "./arguments.ts";
import type { Bundle } from "./bundle-types.ts";
import { compose, shapeOf } from "./compose.ts";
import type { Base, Manifest, StageManifest } from "./manifest.ts";
import { refuse } from "./manifest-fields.ts";

/**
 * The stages of several bundles, in their order, with all that the bundles hold besides. A prefix makes ids
 * `PREFIX-ID`, since an id in a file has no slash. Provenance is kept by name of the bundle; checks are not, because
 * each holds for its own bundle alone.
 * @param file names the result in errors
 * @throws `bad_bundle` where bases differ, ids or tensors clash, or the stages do not go together
 */
export function mergeBundles(bundles: readonly (BundleInput | PrefixedBundle)[], file: string): Bundle {
  const [given, name] = mergeDoor.read(bundles, file);
  const first = given[0]?.bundle;
  if (!first) throw new SluiceError("usage", "There is no bundle to compose");
  let base: Base = first.manifest.base;
  const stages: StageManifest[] = [];
  const tensors = new Map<string, StoredTensor>();
  const fit = new Map<string, unknown>();
  for (const { bundle, prefix } of given) {
    base = { ...agree(base, first, bundle), ...base };
    const rename = (id: string) => (prefix === undefined ? id : `${prefix}-${id}`);
    for (const stage of bundle.manifest.stages) {
      const id = rename(stage.id);
      if (stages.some((other) => other.id === id)) {
        const hint = "Give one of them a prefix: FILE:as=PREFIX.";
        throw refuse(`${bundle.file}: stage "${id}"`, "id", "is also a stage of a bundle before it", hint);
      }
      stages.push({ ...stage, id });
    }
    for (const [name, tensor] of bundle.tensors) {
      const owner = bundle.manifest.stages.find(({ id }) => name.startsWith(`${id}.`));
      const renamed = owner ? rename(owner.id) + name.slice(owner.id.length) : name;
      if (tensors.has(renamed)) throw refuse(bundle.file, `tensor ${renamed}`, "is also in a bundle before it");
      tensors.set(renamed, tensor);
    }
    if (bundle.manifest.fit) fit.set(freeName(fit, bundle.manifest.name), bundle.manifest.fit);
  }
  const manifest: Manifest = {
    name: given.map(({ bundle }) => bundle.manifest.name).join(" + "),
    base,
    stages,
    ...(fit.size > 0 && { fit: Object.fromEntries(fit) }),
  };
  const merged = { file: name, manifest, tensors, metadata: new Map() };
  compose(shapeOf(base), [{ bundle: merged }]);
  return merged;
}

export const mergeDoor = entry("mergeBundles", ["bundles", bundleList], ["file", fileName]);

/** A bundle's base, once it is known to say nothing that contradicts those before it. */
function agree(base: Base, first: Bundle, { file, manifest }: Bundle): Base {
  for (const [field, value] of Object.entries(manifest.base)) {
    if (
      field === "repo" ||
      !Object.hasOwn(base, field) ||
      base[field] === undefined ||
      show(base[field]) === show(value)
    )
      continue;
    const hint = "Bundles for different models cannot be one.";
    throw refuse(file, `base.${field}`, `is ${show(value)}, but ${first.file} has ${show(base[field])}`, hint);
  }
  return manifest.base;
}

function freeName(taken: ReadonlyMap<string, unknown>, name: string): string {
  let free = name;
  for (let n = 2; taken.has(free); n++) free = `${name} (${n})`;
  return free;
}
