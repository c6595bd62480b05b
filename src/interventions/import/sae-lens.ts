/** Features of sparse autoencoders in SAELens' folders: a row of the decoder, or the feature's value clamped. */
import { type StoredTensor, storeFloat32 } from "../../formats/safetensors.ts";
import type { StridedArray } from "../../formats/strided.ts";
import { dot } from "../../numbers/dot.ts";
import { textIn } from "../../show.ts";
import { ourSiteName } from "../site-names.ts";
import { type AffineSite, affineSites } from "../stage.ts";
import { layerTensorName } from "../tensor-names.ts";
import type { ForeignFile } from "./foreign-file.ts";
import { type ForeignKind, type Given, type Imported, layerOf, open, unfit } from "./foreign-kind.ts";
import { rowOf, vectorStages } from "./vectors.ts";

export const saeLens: ForeignKind = {
  name: "SAELens",
  takes: ["as", "scale", "feature"],
  matches: ({ files }) => files.some(isWeights),
  read(given) {
    const weights = given.files.find(isWeights)?.arrays as ReadonlyMap<string, StridedArray>;
    const cfg = given.files.find(({ base }) => base === "cfg.json")?.json;
    if (typeof cfg !== "object" || cfg === null) {
      throw unfit(
        given,
        "cfg.json",
        "is missing",
        "Give the folder that SAELens saved: cfg.json beside sae_weights.safetensors.",
      );
    }
    const config = new SaeConfig(cfg as Readonly<Record<string, unknown>>);
    const decoder = tensor(given, weights, "W_dec");
    const { feature } = given.choices;
    const count = decoder.shape[0] ?? 0;
    if (feature === undefined)
      throw open(given, "which feature is meant", `Name it: --feature N, from 0 to ${count - 1}.`, "feature");
    if (feature >= count) throw unfit(given, "feature", `is ${feature}, but its features are 0 to ${count - 1}`);
    const row = rowOf(given, decoder.at(0, feature, "W_dec"), "W_dec");
    const { site, layer } = config.place(given);
    const fit = { feature, hook_name: config.hook };
    const id = `feature_${feature}`;
    if (given.choices.as === "clamp")
      return { ...clamped(given, { weights, config, feature, row, site, layer, id }), fit };
    return { ...vectorStages(given, { id, vectors: new Map([[layer, row]]), site }), fit };
  },
};

function isWeights(file: ForeignFile): boolean {
  const { form } = file;
  return form === "safetensors" && file.arrays?.has("W_dec") === true && file.arrays.has("W_enc");
}

class SaeConfig {
  readonly #fields: Readonly<Record<string, unknown>>;
  readonly #metadata: Readonly<Record<string, unknown>>;

  constructor(fields: Readonly<Record<string, unknown>>) {
    const { metadata } = fields;
    this.#fields = fields;
    this.#metadata =
      typeof metadata === "object" && metadata !== null ? (metadata as Readonly<Record<string, unknown>>) : {};
  }

  /** A field, which newer versions keep among the metadata. */
  field(name: string): unknown {
    return this.#fields[name] ?? this.#metadata[name];
  }

  get hook(): string {
    return textIn(this.field("hook_name") ?? this.field("hook_point") ?? "");
  }

  place(given: Given): { readonly site: AffineSite; readonly layer: number } {
    const [kind = "", layer = ""] = ourSiteName(given.config, this.hook).split(".");
    const site = affineSites.find((candidate) => candidate === kind);
    if (!site || !/^\d+$/.test(layer)) {
      throw unfit(
        given,
        "cfg.json: hook_name",
        `is ${this.hook.slice(0, 60) || "missing"}, where no such stage can act`,
      );
    }
    return { site, layer: layerOf(given, Number(layer), "cfg.json: hook_name") };
  }
}

interface Feature {
  readonly weights: ReadonlyMap<string, StridedArray>;
  readonly config: SaeConfig;
  readonly feature: number;
  readonly row: Float64Array;
  readonly site: AffineSite;
  readonly layer: number;
  readonly id: string;
}

/** h ← h + (scale − f(h))·row, with f(h) = relu((h − b_dec)·W_enc + b_enc). */
function clamped(given: Given, { weights, config, feature, row, site, layer, id }: Feature): Imported {
  const { scale } = given.choices;
  if (scale === undefined) throw open(given, "what the feature is clamped to", "Name it: --scale 8.", "scale");
  const normalised = config.field("normalize_activations") ?? "none";
  if (normalised !== "none") {
    throw unfit(
      given,
      "cfg.json: normalize_activations",
      `is ${textIn(normalised).slice(0, 40)}: its features are of normalised activations`,
      "Add the decoder's row instead: --as addition.",
    );
  }
  const architecture = textIn(config.field("architecture") ?? config.field("activation_fn_str") ?? "standard");
  if (!["standard", "relu"].includes(architecture)) {
    given.warn(
      `${given.name} is of the architecture ${architecture.slice(0, 40)}; its feature is read as relu, without a threshold, so the clamp is not exact`,
    );
  }
  const encoder = rowOf(given, tensor(given, weights, "W_enc").at(1, feature, "W_enc"), "W_enc");
  const bias = tensor(given, weights, "b_enc").at(0, feature, "b_enc").values()[0] as number;
  const centred = config.field("apply_b_dec_to_input") !== false;
  const centre = centred ? dot(rowOf(given, tensor(given, weights, "b_dec"), "b_dec"), encoder) : 0;
  const tensors = new Map<string, StoredTensor>();
  const put = (name: string, values: Float64Array, shape: readonly number[]): void => {
    tensors.set(layerTensorName(id, layer, name), storeFloat32(Float32Array.from(values), shape));
  };
  put("v", encoder, [1, encoder.length]);
  put("u", row, [1, row.length]);
  put("c", Float64Array.of(centre - bias), [1]);
  put(
    "bias",
    row.map((value) => scale * value),
    [row.length],
  );
  return { stages: [{ id, kind: "affine", method: "low_rank", site, layers: [layer], gate: "relu" }], tensors };
}

function tensor(given: Given, weights: ReadonlyMap<string, StridedArray>, name: string): StridedArray {
  const found = weights.get(name);
  const dimensions = name.startsWith("W") ? 2 : 1;
  if (found?.shape.length === dimensions) return found;
  throw unfit(given, name, found ? `has shape [${found.shape.join(", ")}]` : "is missing");
}
