/** Control vectors of llama.cpp and repeng: GGUF files of directions that are added to the outputs of blocks. */
import { writeGgufVectors } from "../../formats/gguf/write-vectors.ts";
import type { AffineStage } from "../stage.ts";
import { type ExportFormat, kindName, positionsObstacle, scaledDirection, warnOfScale } from "./export-format.ts";

export const controlVector: ExportFormat = {
  obstacle(stage) {
    if (stage.kind !== "affine" || stage.method !== "addition") {
      return `is of the kind ${kindName(stage)}, and a control vector only adds`;
    }
    if (stage.site === "resid_pre" && stage.layers[0] === 0) return "acts on the embedding, before the first block";
    if (stage.site !== "resid_post" && stage.site !== "resid_pre") {
      return `acts at ${stage.site}, and a control vector acts on the outputs of blocks`;
    }
    return positionsObstacle(stage);
  },
  write({ stages, config, name, warn }) {
    const sums = new Map<number, Float64Array>();
    for (const stage of stages as readonly AffineStage[]) {
      warnOfScale(stage, warn);
      // What enters a block is the output of the one before.
      const shift = stage.site === "resid_pre" ? 1 : 0;
      for (const layer of stage.layers) addTo(sums, layer - shift, scaledDirection(stage, layer));
    }
    const layers = [...sums.keys()].sort((a, b) => a - b);
    if (layers[0] === 0) {
      warn(
        "direction.0 is of the output of the first block; llama.cpp refuses files that have it, repeng and sluice do not",
      );
    }
    const fields = new Map<string, string | number>([
      ["general.architecture", "controlvector"],
      ["controlvector.model_hint", config.model_type],
      ["controlvector.layer_count", layers.length],
    ]);
    const vectors = new Map(
      layers.map((layer) => [`direction.${layer}`, Float32Array.from(sums.get(layer) as Float64Array)]),
    );
    return new Map([[`${name}.gguf`, writeGgufVectors(fields, vectors)]]);
  },
};

/** Vectors that are added at one place are one vector. */
export function addTo<Key>(sums: Map<Key, Float64Array>, key: Key, vector: Float64Array): void {
  const sum = sums.get(key);
  sums.set(key, sum ? sum.map((value, i) => value + (vector[i] as number)) : vector);
}
