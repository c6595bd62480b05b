/** Steering vectors as NumPy's archive: an array SITE.LAYER for each place. */
import { writeNumpyArchive } from "../../formats/write-numpy.ts";
import { isEverywhere } from "../positions.ts";
import type { AffineStage } from "../stage.ts";
import { addTo } from "./control-vector.ts";
import { type ExportFormat, kindName, scaledDirection, warnOfScale } from "./export-format.ts";

export const numpyVectors: ExportFormat = {
  obstacle(stage, _, stages) {
    if (stage.kind === "affine" && stage.method === "addition") return null;
    if (stage.kind !== "affine" || stage.method !== "directional_ablation") {
      return `is of the kind ${kindName(stage)}, and not one vector per layer`;
    }
    if (stage.gate !== "identity") return "has a gate, and the file has vectors alone";
    if (stage.strength !== 1) return `has the strength ${stage.strength}, and a direction to ablate has none`;
    const others = stages.filter((each): each is AffineStage => each.kind === "affine" && each !== stage);
    if (others.some(({ method }) => method === "addition")) {
      return "is to be ablated, and the file does not tell it from the vectors that are added";
    }
    const isShared = ({ site, layers }: AffineStage) =>
      site === stage.site && layers.some((l) => stage.layers.includes(l));
    return others.some(isShared) ? "has a direction where another stage has one, and the file has one per place" : null;
  },
  write({ stages, name, warn }) {
    const sums = new Map<string, Float64Array>();
    for (const stage of stages as readonly AffineStage[]) {
      const { id, site, layers, positions, values } = stage;
      if (stage.method === "addition") warnOfScale(stage, warn);
      else warn(`stage "${id}": the file has its directions alone, to be ablated: sluice bundle import --as ablation`);
      if (!isEverywhere(positions)) warn(`stage "${id}": the file does not say at which positions it acts`);
      for (const layer of layers) {
        const isAdded = stage.method === "addition";
        const raw = values.get(layer)?.direction ?? new Float32Array(0);
        const vector = isAdded ? scaledDirection(stage, layer) : Float64Array.from(raw);
        addTo(sums, `${site}.${layer}`, vector);
      }
    }
    const arrays = new Map([...sums].map(([key, values]) => [key, Float32Array.from(values)]));
    return new Map([[`${name}.npz`, writeNumpyArchive(arrays)]]);
  },
};
