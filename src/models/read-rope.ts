/**
 * The rotary embedding's settings, in any of their spellings: `rope_parameters` (transformers 5), or
 * `rope_theta` and `rope_scaling` (before), whose kind was first called `type`, then `rope_type`.
 * Where several are given they must agree: transformers lets one win silently, and which depends on its version.
 */

import { show } from "../show.ts";
import type { RopeConfig } from "./config.ts";
import type { ConfigFields } from "./config-fields.ts";

/** @throws `bad_config` for a kind that is not run, a setting that is missing or wrong, and contradictions */
export function readRope(config: ConfigFields): RopeConfig {
  const parameters = config.object("rope_parameters");
  const perLayers = ["full_attention", "sliding_attention"].find((name) => parameters?.has(name));
  if (parameters && perLayers) {
    throw parameters.refuse(perLayers, "different rotary embeddings for different layers are not run");
  }
  const inside = [parameters, config.object("rope_scaling")].filter((fields) => fields !== undefined);
  const anywhere = [...inside, config];
  const fraction = settle(anywhere, "partial_rotary_factor");
  if (fraction.fields.positive(fraction.name, 1) !== 1) {
    throw fraction.fields.refuse(fraction.name, "only a factor of 1, heads that are rotated whole, is run");
  }
  const theta = settle(anywhere, "rope_theta");
  const rope_theta = theta.fields.positive(theta.name, 10000);
  // Without either object nothing is scaled, whatever the top level holds by these names.
  const first = inside[0];
  if (!first) return { rope_theta, scaling: { rope_type: "default" } };
  const kind = settle([first, ...inside.slice(1)], "rope_type", "type");
  const rope_type = kind.fields.string(kind.name, "default");
  switch (rope_type) {
    case "default":
      return { rope_theta, scaling: { rope_type } };
    case "linear":
      return { rope_theta, scaling: { rope_type, factor: scalingFactor(inside, "factor") } };
    case "llama3":
      return { rope_theta, scaling: readLlama3(config, inside) };
    default:
      throw kind.fields.refuse(kind.name, 'the kinds that are run are "default", "linear" and "llama3"');
  }
}

function readLlama3(config: ConfigFields, inside: readonly ConfigFields[]): RopeConfig["scaling"] {
  const low_freq_factor = scalingFactor(inside, "low_freq_factor");
  const high_freq_factor = scalingFactor(inside, "high_freq_factor");
  if (high_freq_factor <= low_freq_factor) {
    const { fields, name } = settle(inside, "high_freq_factor");
    throw fields.refuse(name, `it must be above low_freq_factor, which is ${low_freq_factor}`);
  }
  const original = settle([...inside, config], "original_max_position_embeddings");
  return {
    rope_type: "llama3",
    factor: scalingFactor(inside, "factor"),
    low_freq_factor,
    high_freq_factor,
    original_max_position_embeddings: original.fields.integer(original.name),
  };
}

function scalingFactor(inside: readonly ConfigFields[], setting: string): number {
  const { fields, name } = settle(inside, setting);
  return fields.positive(name);
}

interface Place {
  readonly fields: ConfigFields;
  readonly name: string;
}

/** The first place where a setting is given, by any of its names; else the place where it belongs. */
function settle(objects: readonly ConfigFields[], ...names: readonly [string, ...string[]]): Place {
  const places = objects.flatMap((fields) => names.map((name): Place => ({ fields, name })));
  const [first, ...others] = places.filter(({ fields, name }) => fields.raw(name) !== undefined);
  if (!first) return places[0] as Place;
  const value = first.fields.raw(first.name);
  const contrary = others.find(({ fields, name }) => fields.raw(name) !== value);
  if (!contrary) return first;
  throw contrary.fields.refuse(contrary.name, `but the same setting is ${show(value)} elsewhere in this file`);
}
