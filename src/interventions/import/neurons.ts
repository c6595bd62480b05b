/** Neuron edits: factors of ml-aura, and the values that the DPO papers assign to neurons. */
import { type StoredTensor, storeFloat32 } from "../../formats/safetensors.ts";
import type { StridedArray } from "../../formats/strided.ts";
import { arrayIn } from "../../formats/torch/globals.ts";
import { siteWidth } from "../site-names.ts";
import type { NeuronSite } from "../stage.ts";
import { layerTensorName } from "../tensor-names.ts";
import type { ForeignFile } from "./foreign-file.ts";
import { type ForeignKind, type Given, layerOf, unfit } from "./foreign-kind.ts";

/** Modules of transformers whose outputs are sites. */
const MODULES: readonly (readonly [RegExp, NeuronSite])[] = [
  [/\.h\.(\d+)\.mlp\.c_fc(?![a-z_])/, "mlp_pre"],
  [/\.h\.(\d+)\.mlp\.c_proj(?![a-z_])/, "mlp_out"],
  [/\.h\.(\d+)\.attn\.c_proj(?![a-z_])/, "attn_out"],
  [/\.layers\.(\d+)\.mlp\.gate_proj(?![a-z_])/, "gate_pre"],
  [/\.layers\.(\d+)\.mlp\.up_proj(?![a-z_])/, "up"],
  [/\.layers\.(\d+)\.mlp\.down_proj(?![a-z_])/, "mlp_out"],
  [/\.layers\.(\d+)\.self_attn\.o_proj(?![a-z_])/, "attn_out"],
];

export const aura: ForeignKind = {
  name: "ml-aura",
  takes: [],
  matches: ({ files }) => files.some((file) => alphaIn(file) !== null),
  read(given) {
    const tensors = new Map<string, StoredTensor>();
    const layers = new Map<NeuronSite, number[]>();
    for (const file of given.files) {
      const alpha = alphaIn(file);
      if (!alpha) continue;
      const { site, layer } = moduleOf(given, file);
      const width = siteWidth(given.config, site);
      if (alpha.count !== width) {
        const has = width === null ? "has no such module" : `is ${width} wide there`;
        throw unfit(
          given,
          file.base,
          `has ${alpha.count} factors, but the model ${has}`,
          "It was made for another model.",
        );
      }
      layers.set(site, [...(layers.get(site) ?? []), layer]);
      const values = Float32Array.from(alpha.values());
      tensors.set(layerTensorName(`aura_${site}`, layer, "scale"), storeFloat32(values, [values.length]));
    }
    const stages = [...layers].map(([site, list]) => {
      return { id: `aura_${site}`, kind: "neuron_scale", site, layers: list.sort((a, b) => a - b) } as const;
    });
    return { stages, tensors };
  },
};

/** The factors of a module's state dict, which holds nothing else. */
function alphaIn({ value }: ForeignFile): StridedArray | null {
  return value instanceof Map && value.size === 1 ? arrayIn(value.get("alpha")) : null;
}

function moduleOf(given: Given, { base }: ForeignFile): { readonly site: NeuronSite; readonly layer: number } {
  for (const [pattern, site] of MODULES) {
    const layer = pattern.exec(base)?.[1];
    if (layer !== undefined) return { site, layer: layerOf(given, Number(layer), base) };
  }
  throw unfit(
    given,
    base,
    "is not named for a module whose output can be scaled",
    "Name it for the module, as ml-aura does: transformer.h.0.mlp.c_fc.statedict, model.layers.0.mlp.gate_proj.statedict.",
  );
}

const COLUMNS = ["layer_idx", "neuron_idx", "assigned_value"] as const;

export const neuronValues: ForeignKind = {
  name: "neuron values (CSV)",
  takes: [],
  matches: ({ files }) =>
    files.length === 1 &&
    files[0]?.form === "csv" &&
    COLUMNS.every((c) => columns(files[0] as ForeignFile).includes(c)),
  read(given) {
    const file = given.files[0] as ForeignFile;
    const { intermediate_size: width } = given.config;
    const names = columns(file);
    const edits = new Map<number, { readonly scale: Float32Array; readonly shift: Float32Array }>();
    const lines = file.text().split(/\r?\n/);
    lines.slice(1).forEach((line, index) => {
      if (line.trim() === "") return;
      const cells = line.split(",").map((cell) => cell.trim().replaceAll('"', ""));
      const where = `line ${index + 2}`;
      const [layer, neuron, value] = COLUMNS.map((column) => {
        const cell = cells[names.indexOf(column)] ?? "";
        if (cell === "" || !Number.isFinite(Number(cell))) throw unfit(given, where, `has no number as ${column}`);
        return Number(cell);
      }) as [number, number, number];
      layerOf(given, layer, `${where}: layer_idx`);
      if (!Number.isSafeInteger(neuron) || neuron < 0 || neuron >= width) {
        throw unfit(given, `${where}: neuron_idx`, `is ${neuron}, but the model's neurons are 0 to ${width - 1}`);
      }
      const edit = edits.get(layer) ?? { scale: new Float32Array(width).fill(1), shift: new Float32Array(width) };
      edits.set(layer, edit);
      edit.scale[neuron] = 0;
      edit.shift[neuron] = value;
    });
    const tensors = new Map<string, StoredTensor>();
    for (const [layer, { scale, shift }] of edits) {
      tensors.set(layerTensorName("neurons", layer, "scale"), storeFloat32(scale, [width]));
      tensors.set(layerTensorName("neurons", layer, "shift"), storeFloat32(shift, [width]));
    }
    const layers = [...edits.keys()].sort((a, b) => a - b);
    return { stages: [{ id: "neurons", kind: "neuron_scale", site: "mlp_post", layers }], tensors };
  },
};

function columns(file: ForeignFile): readonly string[] {
  return (/^[^\r\n]*/.exec(file.text())?.[0] ?? "").split(",").map((cell) => cell.trim().replaceAll('"', ""));
}
