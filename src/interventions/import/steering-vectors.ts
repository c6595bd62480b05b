/** Vectors of the package steering-vectors, of IBM's activation-steering (.svec), and of vLLM-Hook. */
import { arrayIn } from "../../formats/torch/globals.ts";
import { PickledObject, type PickleValue } from "../../formats/torch/pickle.ts";
import { textIn } from "../../show.ts";
import type { AffineSite } from "../stage.ts";
import { type ForeignKind, type Given, unfit } from "./foreign-kind.ts";
import { placed, rowOf, rowOfList, VECTOR_CHOICES, vectorStages } from "./vectors.ts";

/** Its names of layers' parts, by the site that is their output. */
const LAYER_TYPES: ReadonlyMap<PickleValue | undefined, AffineSite> = new Map<PickleValue | undefined, AffineSite>([
  ["decoder_block", "resid_post"],
  ["self_attn", "attn_out"],
  ["mlp", "mlp_out"],
]);

export const steeringVectors: ForeignKind = {
  name: "steering-vectors",
  takes: VECTOR_CHOICES,
  matches: ({ files }) => files.length === 1 && files[0]?.value instanceof PickledObject,
  read(given) {
    const value = given.files[0]?.value;
    if (!(value instanceof PickledObject)) throw unfit(given, "its contents", "are no steering vector");
    const { attributes } = value;
    const activations = attributes.get("layer_activations");
    const type = attributes.get("layer_type") ?? "decoder_block";
    const site = LAYER_TYPES.get(type);
    if (!(activations instanceof Map)) throw unfit(given, "layer_activations", "are missing");
    if (!site) throw unfit(given, "layer_type", `is ${textIn(type).slice(0, 60)}, where no such stage can act`);
    const vectors = new Map<number, Float64Array>();
    for (const [layer, value] of activations) {
      const array = arrayIn(value);
      const what = `layer_activations[${textIn(layer).slice(0, 20)}]`;
      if (!array || typeof layer !== "number") throw unfit(given, what, "is not a layer's tensor");
      vectors.set(layer, rowOf(given, array, what));
    }
    return vectorStages(given, { id: "steer", vectors, site });
  },
};

export const svec: ForeignKind = {
  name: "activation-steering (.svec)",
  takes: VECTOR_CHOICES,
  matches: ({ files }) => files.length === 1 && isObject(fieldOf(files[0]?.json, "directions")),
  read(given) {
    const json = given.files[0]?.json;
    const type = fieldOf(json, "model_type");
    if (typeof type === "string" && type !== given.config.model_type) {
      given.warn(
        `${given.name} was made for a model of the type "${type.slice(0, 60)}" (model_type), and this one is "${given.config.model_type}": its directions may mean nothing here`,
      );
    }
    const vectors = new Map(
      Object.entries(fieldOf(json, "directions") as object).map(([layer, list]) => {
        return [Number(layer), rowOfList(given, list, `directions.${layer.slice(0, 20)}`)] as const;
      }),
    );
    return vectorStages(given, { id: "steer", vectors, site: "resid_pre" });
  },
};

export const vllmHook: ForeignKind = {
  name: "vLLM-Hook",
  takes: VECTOR_CHOICES,
  matches: ({ files }) => files.some(({ value }) => isHook(value)),
  read(given) {
    const file = given.files.find(({ value }) => isHook(value));
    const hook = file?.value as ReadonlyMap<string, PickleValue>;
    const direction = arrayIn(hook.get("dir"));
    const average = hook.get("avg_proj");
    const coordinate = typeof average === "number" ? average : arrayIn(average)?.values()[0];
    if (!direction) throw unfit(given, "dir", "is not an array");
    if (coordinate === undefined) throw unfit(given, "avg_proj", "is not a number");
    const layer = optimalLayer(given);
    const vectors = placed(given, rowOf(given, direction, "dir"), layer);
    return vectorStages(given, { id: "hook", vectors, site: "resid_post", method: "ace", coordinate });
  },
};

function isHook(value: PickleValue | undefined): boolean {
  return value instanceof Map && value.has("dir") && value.has("avg_proj");
}

/** The layer that the configuration beside the file names. */
function optimalLayer({ files, choices }: Given): number | undefined {
  if (choices.layers !== undefined) return undefined;
  for (const { json } of files) {
    const layer = fieldOf(fieldOf(json, "steering"), "optimal_layer") ?? fieldOf(json, "optimal_layer");
    if (typeof layer === "number") return layer;
  }
  return undefined;
}

function isObject(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fieldOf(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value as object, name)
    ? (value as Readonly<Record<string, unknown>>)[name]
    : undefined;
}
