/** Vectors without a format: CAA, BiPO, rows of decoders, EasySteer; one per file, or a list or dict of them by layer. */
import type { StridedArray } from "../../formats/strided.ts";
import { arrayIn } from "../../formats/torch/globals.ts";
import { textIn } from "../../show.ts";
import { type AffineSite, affineSites } from "../stage.ts";
import type { ForeignFile } from "./foreign-file.ts";
import { type ForeignKind, type Given, type Imported, open, unfit } from "./foreign-kind.ts";
import { placed, rowOf, VECTOR_CHOICES, vectorStages } from "./vectors.ts";

/** As CAA names its files. */
const CAA = /^vec_layer_(\d+)_/;

export const bareVectors: ForeignKind = {
  name: "bare vectors",
  takes: VECTOR_CHOICES,
  matches: ({ files }) => files.some((file) => tensorFile(file)),
  read(given) {
    const files = given.files.filter(tensorFile);
    const bySite = files.length === 1 ? vectorsBySite(given, files[0] as ForeignFile) : null;
    if (bySite) return stagesBySite(given, bySite);
    const isCaa = files.every(({ base }) => CAA.test(base));
    const vectors = files.length === 1 ? ofFile(given, files[0] as ForeignFile) : ofFiles(given, files);
    // CAA adds its vector from the end of the instruction on.
    const positions = isCaa ? ({ positions: "last_prompt_onward" } as const) : {};
    return vectorStages(given, { id: isCaa ? "caa" : "steer", vectors, site: "resid_post", ...positions });
  },
};

function tensorFile({ form }: ForeignFile): boolean {
  return form === "torch" || form === "npy" || form === "npz" || form === "safetensors";
}

/** The layer that a file's name has. */
function layerInName({ base }: ForeignFile): number | undefined {
  const layer = /(?:^|[^a-z])layers?[_.-]?(\d{1,4})(?!\d)/i.exec(base)?.[1];
  return layer === undefined ? undefined : Number(layer);
}

type Vectors = ReadonlyMap<number, Float64Array>;

/** Vectors by site and layer, if every array of the file is named `resid_post.12`, as bundle export names them. */
function vectorsBySite(given: Given, file: ForeignFile): ReadonlyMap<AffineSite, Vectors> | null {
  if (file.form !== "npz" && file.form !== "safetensors") return null;
  const found = new Map<AffineSite, Map<number, Float64Array>>();
  for (const [name, array] of arraysIn(given, file)) {
    const [, kind, layer] = /^([a-z_]+)\.(\d{1,6})$/.exec(name) ?? [];
    const site = affineSites.find((each) => each === kind);
    if (!site) return null;
    const vectors = found.get(site) ?? new Map<number, Float64Array>();
    found.set(site, vectors.set(Number(layer), rowOf(given, array, name)));
  }
  return found.size > 0 ? found : null;
}

/** A stage per site, named for it if there are several. */
function stagesBySite(given: Given, bySite: ReadonlyMap<AffineSite, Vectors>): Imported {
  const parts = [...bySite].map(([site, vectors]) => {
    return vectorStages(given, { id: bySite.size === 1 ? "steer" : `steer_${site}`, vectors, site });
  });
  return {
    stages: parts.flatMap(({ stages }) => stages),
    tensors: new Map(parts.flatMap(({ tensors }) => [...tensors])),
  };
}

function ofFiles(given: Given, files: readonly ForeignFile[]): ReadonlyMap<number, Float64Array> {
  const vectors = new Map<number, Float64Array>();
  for (const file of files) {
    const [array, ...others] = arraysIn(given, file);
    const layer = layerInName(file);
    if (!array || others.length > 0 || layer === undefined || vectors.has(layer)) {
      throw open(given, "what its files mean together", "Give one of them.", "layers");
    }
    vectors.set(layer, rowOf(given, array[1], file.base));
  }
  return vectors;
}

function ofFile(given: Given, file: ForeignFile): ReadonlyMap<number, Float64Array> {
  const arrays = arraysIn(given, file);
  const [only] = arrays;
  if (!only) throw unfit(given, file.base, "holds no tensor");
  if (arrays.length > 1) return byLayer(given, arrays);
  const [name, array] = only;
  const sizes = array.shape.filter((size) => size !== 1);
  if (sizes.length < 2) return placed(given, rowOf(given, array, name || file.base), layerOfOnly(given, file, name));
  const [layers = 0, width = 0] = sizes;
  if (sizes.length === 2 && layers === given.config.num_hidden_layers && width === given.config.hidden_size) {
    const axis = array.shape.indexOf(layers);
    return byLayer(
      given,
      Array.from({ length: layers }, (_, layer) => [String(layer), array.at(axis, layer, file.base)]),
    );
  }
  const { num_hidden_layers: count, hidden_size: wide } = given.config;
  throw unfit(
    given,
    name || "its tensor",
    `has shape [${array.shape.join(", ")}], which is neither [${wide}] nor [${count}, ${wide}]`,
    sizes.length === 3
      ? "mean_diffs.pt has a vector per position and layer; give the direction.pt made of it."
      : undefined,
  );
}

/** The layer of a file's only vector: its key in the file, a field beside it, or the file's name. */
function layerOfOnly(given: Given, file: ForeignFile, name: string): number | undefined {
  if (given.choices.layers !== undefined) return undefined;
  const field = file.value instanceof Map ? file.value.get("layer") : undefined;
  const layer = typeof field === "number" ? field : (numberIn(name) ?? layerInName(file));
  if (layer !== undefined && typeof field !== "number" && numberIn(name) === undefined) {
    given.warn(`${file.base}: layer ${layer} is taken from the file's name`);
  }
  return layer;
}

function byLayer(
  given: Given,
  arrays: readonly (readonly [string, StridedArray])[],
): ReadonlyMap<number, Float64Array> {
  const vectors = new Map<number, Float64Array>();
  for (const [name, array] of arrays) {
    const layer = numberIn(name);
    if (layer === undefined || vectors.has(layer)) {
      const names = arrays.map(([each]) => each).join(", ");
      throw unfit(
        given,
        "its tensors",
        `are called ${names.slice(0, 200)}, which does not say what layer each is for`,
        "Save the vector that you want alone, or name each by its layer: 12, layer_12.",
      );
    }
    vectors.set(layer, rowOf(given, array, name));
  }
  return vectors;
}

/** The only number in a name. */
function numberIn(name: string): number | undefined {
  const numbers = name.match(/\d{1,6}/g) ?? [];
  return numbers.length === 1 ? Number(numbers[0]) : undefined;
}

function arraysIn(given: Given, file: ForeignFile): readonly (readonly [string, StridedArray])[] {
  if (file.form !== "torch") return [...(file.arrays ?? [])];
  const { value } = file;
  const single = arrayIn(value);
  if (single) return [["", single]];
  const entries: readonly (readonly [unknown, Parameters<typeof arrayIn>[0]])[] =
    value instanceof Map ? [...value] : Array.isArray(value) ? value.map((each, i) => [i, each]) : [];
  const arrays = entries.flatMap(([key, each]): (readonly [string, StridedArray])[] => {
    const array = arrayIn(each);
    return array ? [[textIn(key), array]] : [];
  });
  if (arrays.length > 4096)
    throw unfit(given, file.base, `holds ${arrays.length} tensors, more than any model has layers`);
  return arrays;
}
