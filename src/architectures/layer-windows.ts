/** Which layers of a model have a sliding window, from config.json. */

import type { ModelConfig } from "../model-config.ts";
import { show } from "../show.ts";
import type { ConfigFields } from "./config-fields.ts";

/** The window of each layer; null for layers that see everything. */
export type Windows = readonly (number | null)[];

/** Mistral's and Qwen2's default of 4,096 applies if the field is absent; null is no window. */
export function readWindow(config: ConfigFields, absent: number | null = 4096): number | null {
  const name = "sliding_window";
  return config.raw(name) === undefined ? (config.has(name) ? null : absent) : config.integer(name);
}

/** Llama and Phi-3 do not read `layer_types`: as in transformers, it is ignored. */
export function uniformWindows(config: ConfigFields, layers: number, window: number | null): Windows {
  const type = window === null ? "full_attention" : "sliding_attention";
  if (readLayerTypes(config, layers)?.some((other) => other !== type)) {
    config.note(`${config.label}: layer_types is ignored: in models of this type every layer has ${type}`);
  }
  return new Array<number | null>(layers).fill(window);
}

/** Mistral and its like: one window for the layers that `layer_types` lists for it, for all without such a list. */
export function listedWindows(config: ConfigFields, layers: number, window: number | null): Windows {
  const types = readLayerTypes(config, layers);
  if (window === null && types?.includes("sliding_attention")) throw noWindow(config);
  return Array.from({ length: layers }, (_, layer) =>
    types === undefined || types[layer] === "sliding_attention" ? window : null,
  );
}

/** Qwen2: the layers from `max_window_layers` on have the window, unless `layer_types` lists them. */
export function qwen2Windows(config: ConfigFields, layers: number): Windows {
  const window = config.boolean("use_sliding_window", false) ? readWindow(config) : null;
  const full = config.integer("max_window_layers", 28, 0);
  const types = readLayerTypes(config, layers);
  if (window === null && types?.includes("sliding_attention")) throw noWindow(config);
  return Array.from({ length: layers }, (_, layer) =>
    (types ? types[layer] === "sliding_attention" : layer >= full) ? window : null,
  );
}

/** SmolLM3: a window only if `layer_types` lists it, or, without the list, in the layers without RoPE. */
export function smolLm3Windows(config: ConfigFields, layers: number, ropeLayers: readonly boolean[]): Windows {
  const window = config.boolean("use_sliding_window", false) ? readWindow(config, null) : null;
  const types = readLayerTypes(config, layers);
  return Array.from({ length: layers }, (_, layer) =>
    (types ? types[layer] === "sliding_attention" : !ropeLayers[layer]) ? window : null,
  );
}

function noWindow(config: ConfigFields): Error {
  return config.refuse("layer_types", "there is no window: use_sliding_window is not true, or sliding_window is null");
}

function readLayerTypes(config: ConfigFields, layers: number): readonly string[] | undefined {
  const types = config.raw("layer_types");
  if (types === undefined) return undefined;
  if (!Array.isArray(types) || types.length !== layers) {
    throw config.refuse("layer_types", `it must list one type for each of the ${layers} layers`);
  }
  const unknown = types.find((type) => type !== "full_attention" && type !== "sliding_attention") as unknown;
  if (unknown === undefined) return types as readonly string[];
  throw config.refuse(
    "layer_types",
    `${show(unknown)} is not supported, only "full_attention" and "sliding_attention" are`,
  );
}

/** A window as wide as the context hides nothing, so it is left out. */
export function slidingWindow(
  windows: Windows,
  context: number,
): Pick<ModelConfig, "sliding_window" | "sliding_layers"> {
  const window = windows.find((width) => width !== null && width < context);
  if (window === undefined || window === null) return {};
  const everywhere = windows.every((width) => width !== null);
  return everywhere
    ? { sliding_window: window }
    : { sliding_window: window, sliding_layers: windows.map((width) => width !== null) };
}
