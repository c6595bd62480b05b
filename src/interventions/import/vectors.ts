/** Vectors of the stream, one per layer, as stages: added, taken away, or the coordinate along them set or bounded. */
import { SluiceError } from "../../errors.ts";
import { type StoredTensor, storeFloat32 } from "../../formats/safetensors.ts";
import type { StridedArray } from "../../formats/strided.ts";
import { dot } from "../../numbers/dot.ts";
import type { AffineManifest } from "../manifest.ts";
import type { Positions } from "../positions.ts";
import type { AffineSite } from "../stage.ts";
import { layerTensorName } from "../tensor-names.ts";
import {
  type Given,
  type ImportChoices,
  type Imported,
  type ImportMethod,
  layerOf,
  open,
  unfit,
} from "./foreign-kind.ts";

/** The choices that vectors with layers leave open. */
export const VECTOR_CHOICES: readonly (keyof ImportChoices)[] = ["as", "layers", "scale", "site", "numbering"];

/** Lower than any coordinate that float32 holds: no bound. */
export const NO_BOUND = -3.4e38;

/** Vectors by the layer that the file names. */
export interface LayerVectors {
  readonly id: string;
  readonly vectors: ReadonlyMap<number, Float64Array>;
  /** Where they act unless the caller says otherwise. */
  readonly site: AffineSite;
  readonly method?: ImportMethod;
  readonly positions?: Positions;
  /** The coordinate along the vector that `ace` sets, in place of the scale's. */
  readonly coordinate?: number;
}

/**
 * The values of a `[d]` array, or of one with further dimensions of size 1.
 * @throws `bad_bundle` for another width than the model's
 */
export function rowOf(given: Given, array: StridedArray, what: string): Float64Array {
  const width = given.config.hidden_size;
  const sizes = array.shape.filter((size) => size !== 1);
  if (sizes.length > 1 || array.count !== width) {
    const shape = `[${array.shape.join(", ")}]`;
    throw unfit(
      given,
      what,
      `has shape ${shape}, but the model's stream is ${width} wide`,
      "It was made for another model.",
    );
  }
  return array.values();
}

/** Values of a JSON list. @throws `bad_bundle` */
export function rowOfList(given: Given, list: unknown, what: string): Float64Array {
  const width = given.config.hidden_size;
  if (!Array.isArray(list) || !list.every((value) => typeof value === "number")) {
    throw unfit(given, what, "is not a list of numbers");
  }
  if (list.length !== width) {
    const hint = "It was made for another model.";
    throw unfit(given, what, `has ${list.length} values, but the model's stream is ${width} wide`, hint);
  }
  return Float64Array.from(list as number[]);
}

/** The one vector of a file that names no layer, in the layers that the caller names. @throws `usage` without them */
export function placed(given: Given, vector: Float64Array, named?: number): ReadonlyMap<number, Float64Array> {
  const { layers } = given.choices;
  if (layers === undefined && named === undefined) {
    throw open(given, "which layer its vector is for", "Name it: --layer 15, or several: --layers 10..20.", "layers");
  }
  // Layers that the caller names are the model's own, so the file's numbering does not apply to them.
  const shift = given.choices.numbering ?? 0;
  return new Map((layers?.map((layer) => layer + shift) ?? [named as number]).map((layer) => [layer, vector]));
}

/** Stages of vectors, by the caller's choices. */
export function vectorStages(given: Given, file: LayerVectors): Imported {
  const { choices } = given;
  const byLayer = chosenLayers(given, file.vectors);
  const tensors = new Map<string, StoredTensor>();
  const { id, positions } = file;
  const put = (layer: number, name: string, values: ArrayLike<number>, shape = [values.length]): void => {
    tensors.set(layerTensorName(id, layer, name), storeFloat32(Float32Array.from(values), shape));
  };
  const common = {
    id,
    kind: "affine",
    site: choices.site ?? file.site,
    layers: [...byLayer.keys()],
    ...(positions !== undefined && { positions }),
  } as const;
  const stage = ((): AffineManifest => {
    switch (choices.as ?? file.method ?? "addition") {
      case "addition":
        for (const [layer, vector] of byLayer) put(layer, "direction", vector);
        return { ...common, method: "addition", ...(choices.scale !== undefined && { strength: choices.scale }) };
      case "ablation":
        refuseScale(given, "ablation");
        for (const [layer, vector] of byLayer) put(layer, "direction", vector);
        return { ...common, method: "directional_ablation" };
      case "ace": {
        const coordinate = choices.scale === undefined ? file.coordinate : undefined;
        for (const [layer, vector] of byLayer) {
          put(layer, "direction", vector);
          const unit = unitOf(given, vector);
          put(
            layer,
            "reference",
            unit.map((value) => value * (coordinate ?? choices.scale ?? 0)),
          );
        }
        return { ...common, method: "ace", alpha: coordinate === undefined && choices.scale === undefined ? 1 : 0 };
      }
      case "clamp": {
        if (choices.scale === undefined) {
          throw open(given, "what the coordinate is clamped to", "Name the upper bound: --scale 10.", "scale");
        }
        for (const [layer, vector] of byLayer) {
          const unit = unitOf(given, vector);
          put(layer, "v", unit, [1, unit.length]);
          put(layer, "u", unit, [1, unit.length]);
        }
        return { ...common, method: "low_rank", gate: { clamp: [NO_BOUND, choices.scale] } };
      }
    }
  })();
  return { stages: [stage], tensors };
}

function refuseScale(given: Given, method: string): void {
  if (given.choices.scale === undefined) return;
  throw new SluiceError("usage", `${given.name}: scale means nothing for ${method}`, {
    hint: "Leave it out; a strength can be set when the bundle is used.",
    field: "scale",
  });
}

/** Layers of the model, ascending, of those that the file and the caller name. */
function chosenLayers(given: Given, vectors: ReadonlyMap<number, Float64Array>): ReadonlyMap<number, Float64Array> {
  const { layers, numbering = 0 } = given.choices;
  const shifted = [...vectors].map(([layer, vector]) => [layer - numbering, vector] as const);
  const chosen = layers ? shifted.filter(([layer]) => layers.includes(layer)) : shifted;
  const missing = layers?.find((layer) => !shifted.some(([named]) => named === layer));
  if (missing !== undefined || chosen.length === 0) {
    const has = shifted.map(([layer]) => layer).join(", ");
    throw unfit(given, "layers", `names layer ${missing ?? "none"}, and the file has ${has.slice(0, 200)}`);
  }
  return new Map(chosen.map(([layer, vector]) => [layerOf(given, layer), vector] as const).sort(([a], [b]) => a - b));
}

export function unitOf(given: Given, vector: Float64Array): Float64Array {
  const length = Math.sqrt(dot(vector, vector));
  if (!(length > 0 && Number.isFinite(length))) throw unfit(given, "direction", "is zero or not finite");
  return vector.map((value) => value / length);
}
