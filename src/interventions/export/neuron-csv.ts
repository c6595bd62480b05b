/** Values assigned to neurons, as the studies of DPO and toxicity keep them: CSV of layer, neuron and value. */
import type { NeuronScaleStage } from "../stage.ts";
import { bytesOf, type ExportFormat, kindName, positionsObstacle } from "./export-format.ts";

const HEADER = "layer_idx,neuron_idx,assigned_value";

export const neuronCsv: ExportFormat = {
  obstacle(stage) {
    if (stage.kind !== "neuron_scale") return `is of the kind ${kindName(stage)}, and the format sets neurons`;
    if (stage.site !== "mlp_post") return `acts at ${stage.site}, and the format sets neurons at mlp_post`;
    if (stage.strength !== 1) return `has the strength ${stage.strength}, and a value is set or not`;
    for (const layer of stage.layers) {
      const other = editsOf(stage, layer).find(({ scale, shift }) => scale !== 0 && (scale !== 1 || shift !== 0));
      if (other) {
        return `scales or shifts neuron ${other.neuron} of layer ${layer}, and the format only sets neurons to values`;
      }
    }
    return positionsObstacle(stage);
  },
  write({ stages, name }) {
    const rows = (stages as readonly NeuronScaleStage[]).flatMap((stage) =>
      stage.layers.flatMap((layer) =>
        editsOf(stage, layer).flatMap(({ neuron, scale, shift }) =>
          scale === 0 ? [`${layer},${neuron},${Object.is(shift, -0) ? "-0.0" : shift}`] : [],
        ),
      ),
    );
    return new Map([[`${name}.csv`, bytesOf(`${[HEADER, ...rows].join("\n")}\n`)]]);
  },
};

interface Edit {
  readonly neuron: number;
  readonly scale: number;
  readonly shift: number;
}

function editsOf({ values }: NeuronScaleStage, layer: number): readonly Edit[] {
  const { scale, shift } = values.get(layer) ?? {};
  const { length } = scale ?? shift ?? [];
  return Array.from({ length }, (_, neuron) => {
    return { neuron, scale: scale?.[neuron] ?? 1, shift: shift?.[neuron] ?? 0 };
  });
}
