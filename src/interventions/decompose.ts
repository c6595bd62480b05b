/** A composition, or what is left of it, as a bundle of its own: the way back from stages to a file. */

import { type StoredTensor, storeFloat32 } from "../formats/safetensors.ts";
import type { KeptStage } from "./bake-plan.ts";
import type { Bundle } from "./bundle-types.ts";
import { baseOf } from "./compose.ts";
import { edgeMask } from "./kinds/edge-mask.ts";
import { kindOf, type StageManifest } from "./kinds/kinds.ts";
import { siteWidth } from "./site-names.ts";
import type { ModelShape } from "./sites.ts";
import type { Composition, SiteStage } from "./stage.ts";
import { layerTensorName } from "./tensor-names.ts";

/**
 * The stages that could not be baked, at the strengths and alphas they have, to be run on the baked model. A stage of
 * which only some layers are left keeps those. Ids `PREFIX/ID` become `PREFIX-ID`, since ids in a file have no slash; with
 * a number after it if another stage has that name.
 * @param file names the bundle in errors
 */
export function remainderOf(
  config: ModelShape,
  composition: Composition,
  kept: readonly KeptStage[],
  file: string,
): Bundle {
  const stages: StageManifest[] = [];
  const tensors = new Map<string, StoredTensor>();
  const left = composition.stages.filter(({ id }) => kept.some((item) => item.id === id));
  const ids = fileIds(left.map(({ id }) => id));
  for (const stage of left) {
    const mine = kept.filter(({ id }) => id === stage.id);
    const id = ids.get(stage.id) as string;
    if (stage.kind === "edge_mask") {
      stages.push(edgeMask.manifest(config, stage, id, tensors));
      continue;
    }
    const layers = stage.layers.filter((layer) => mine.some((item) => item.layer === layer));
    for (const layer of layers) storeLayer(config, stage, layer, id, tensors);
    const { kind, site, positions, strength } = stage;
    stages.push({ id, kind, ...kindOf(stage).fields(stage), site, layers, positions, strength } as StageManifest);
  }
  const manifest = { name: "remainder", base: baseOf(config), stages };
  return { file, manifest, tensors, metadata: new Map() };
}

/** An id without a slash for each: those that have none keep their own. */
function fileIds(ids: readonly string[]): ReadonlyMap<string, string> {
  const taken = new Set(ids);
  return new Map(
    ids.map((id) => {
      if (!id.includes("/")) return [id, id];
      const plain = id.replaceAll("/", "-");
      let free = plain;
      for (let n = 2; taken.has(free); n++) free = `${plain}-${n}`;
      taken.add(free);
      return [id, free];
    }),
  );
}

function storeLayer(
  config: ModelShape,
  stage: SiteStage,
  layer: number,
  id: string,
  tensors: Map<string, StoredTensor>,
): void {
  const width = siteWidth(config, stage.site) ?? 0;
  const specs = kindOf(stage).tensors(stage);
  for (const [name, values] of Object.entries(stage.values.get(layer) ?? {}) as [string, Float32Array][]) {
    const shape = specs[name]?.shape === "rows" ? [values.length / width, width] : [values.length];
    tensors.set(layerTensorName(id, layer, name), storeFloat32(values, shape));
  }
}
