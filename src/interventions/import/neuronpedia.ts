/** Steering vectors of Neuronpedia, alone or as a request for steering. */
import { type StoredTensor, storeFloat32 } from "../../formats/safetensors.ts";
import { textIn } from "../../show.ts";
import type { AffineManifest } from "../manifest.ts";
import { ourSiteName } from "../site-names.ts";
import { type AffineSite, affineSites } from "../stage.ts";
import { layerTensorName } from "../tensor-names.ts";
import { type ForeignKind, type Given, type Imported, layerOf, unfit } from "./foreign-kind.ts";
import { NO_BOUND, rowOfList, unitOf } from "./vectors.ts";

type Fields = Readonly<Record<string, unknown>>;

export const neuronpedia: ForeignKind = {
  name: "Neuronpedia",
  takes: [],
  matches: ({ files }) => files.length === 1 && vectorsIn(files[0]?.json).length > 0,
  read(given): Imported {
    const json = given.files[0]?.json as Fields;
    const tensors = new Map<string, StoredTensor>();
    const vectors = vectorsIn(json);
    const stages = vectors.map((vector, index) => {
      const id = vectors.length > 1 ? `steer${index}` : "steer";
      return stageOf(given, { ...json, ...vector }, id, tensors);
    });
    return { stages, tensors };
  },
};

function vectorsIn(json: unknown): readonly Fields[] {
  if (typeof json !== "object" || json === null || Array.isArray(json)) return [];
  const fields = json as Fields;
  if (Array.isArray(fields.steering_vector)) return [fields];
  const isVector = (each: unknown): each is Fields =>
    typeof each === "object" && each !== null && "steering_vector" in each;
  return Array.isArray(fields.vectors) && fields.vectors.every(isVector) ? fields.vectors : [];
}

function stageOf(given: Given, fields: Fields, id: string, tensors: Map<string, StoredTensor>): AffineManifest {
  const raw = rowOfList(given, fields.steering_vector, "steering_vector");
  const vector = fields.normalize_steering === true ? unitOf(given, raw) : raw;
  const strength = numberIn(given, fields, "strength") * numberIn(given, fields, "strength_multiplier");
  const { site, layer } = placeOf(given, textIn(fields.hook ?? ""));
  const put = (name: string, values: Float64Array, shape: readonly number[]): void => {
    tensors.set(layerTensorName(id, layer, name), storeFloat32(Float32Array.from(values), shape));
  };
  const common = { id, kind: "affine", site, layers: [layer] } as const;
  const method = textIn(fields.method ?? fields.steer_method ?? "SIMPLE_ADDITIVE");
  if (method === "SIMPLE_ADDITIVE") {
    put("direction", vector, [vector.length]);
    return { ...common, method: "addition", strength };
  }
  const unit = unitOf(given, vector);
  put("v", unit, [1, unit.length]);
  switch (method) {
    case "ORTHOGONAL_DECOMP":
      // h ← (I − P)·h + strength·P·h, with P the projection on the vector.
      put(
        "u",
        unit.map((value) => (1 - strength) * value),
        [1, unit.length],
      );
      return { ...common, method: "low_rank" };
    case "PROJECTION_CAP":
      put("u", unit, [1, unit.length]);
      return { ...common, method: "low_rank", gate: { clamp: [NO_BOUND, strength] } };
    default:
      throw unfit(
        given,
        "method",
        `is ${method.slice(0, 60)}, which is unknown`,
        "Known are SIMPLE_ADDITIVE, ORTHOGONAL_DECOMP and PROJECTION_CAP.",
      );
  }
}

function numberIn(given: Given, fields: Fields, name: string): number {
  const value = fields[name] ?? 1;
  if (typeof value !== "number") throw unfit(given, name, "is not a number");
  return value;
}

/** The site of a hook of TransformerLens. */
function placeOf(given: Given, hook: string): { readonly site: AffineSite; readonly layer: number } {
  const [kind = "", layer = ""] = ourSiteName(given.config, hook).split(".");
  const site = affineSites.find((candidate) => candidate === kind);
  if (!site || !/^\d+$/.test(layer)) throw unfit(given, "hook", `is ${hook.slice(0, 60)}, where no such stage can act`);
  return { site, layer: layerOf(given, Number(layer), "hook") };
}
