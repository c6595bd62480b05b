/**
 * The rotary embedding's settings, in any of their spellings: `rope_parameters` (transformers 5), or
 * `rope_theta` and `rope_scaling` (before), whose kind was first called `type`, then `rope_type`.
 * If several are given, they must agree: transformers silently uses one, depending on its version.
 */

import type { ModelConfig, RopeConfig } from "../model-config.ts";
import { show } from "../show.ts";
import type { ConfigFields } from "./config-fields.ts";
import type { RopeDefaults } from "./llama-families.ts";
import { inverseFrequencies } from "./rope.ts";

/** What scaling depends on, in addition to its own settings. */
type Sizes = Pick<ModelConfig, "head_dim" | "max_position_embeddings">;

/** Where the settings may be: in their own objects, in order, or at the top of the file. */
interface Settings {
  readonly inside: readonly ConfigFields[];
  readonly anywhere: readonly ConfigFields[];
  readonly defaults: RopeDefaults;
  readonly sizes: Sizes;
  readonly rope_theta: number;
  /** The share of each head that is rotated. */
  readonly fraction: number;
}

/** @throws `bad_config` for an unsupported kind, a setting that is missing or wrong, and contradictions */
export function readRope(config: ConfigFields, defaults: RopeDefaults, sizes: Sizes): RopeConfig {
  const parameters = config.object("rope_parameters");
  const perLayers = ["full_attention", "sliding_attention"].find((name) => parameters?.has(name));
  if (parameters && perLayers) {
    throw parameters.refuse(perLayers, "different rotary embeddings for different layers are not supported");
  }
  const inside = [parameters, config.object("rope_scaling")].filter(
    (fields) => fields && !fields.isEmpty,
  ) as readonly ConfigFields[];
  const anywhere = [...inside, config];
  const theta = settle(anywhere, "rope_theta");
  const rope_theta = theta.fields.positive(theta.name, defaults.rope_theta);
  const fraction = readFraction(anywhere, defaults);
  const scaling = readScaling({ inside, anywhere, defaults, sizes, rope_theta, fraction });
  const rope: RopeConfig = { rope_theta, scaling, ...(fraction !== 1 && { partial_rotary_factor: fraction }) };
  checkNumbers(config, rope, sizes);
  if (fraction !== 1 && !defaults.isPartial && scaling.rope_type !== "proportional") {
    config.note(
      `${config.label}: partial_rotary_factor is ${fraction}, and that share of each head is rotated; transformers 5 ` +
        "ignores the field in models of this type, and rotates whole heads",
    );
  }
  return rope;
}

/** Extreme settings give frequencies or factors that no number holds: each is legal alone. */
function checkNumbers(config: ConfigFields, rope: RopeConfig, { head_dim, max_position_embeddings }: Sizes): void {
  // A wrong head_dim, which is found later, would make as many frequencies.
  if (head_dim > MOST_CHECKED) return;
  const contexts = [1, max_position_embeddings];
  const frequencies = contexts.flatMap((positions) => [...inverseFrequencies(rope, head_dim, positions)]);
  const factor = "attention_factor" in rope.scaling ? rope.scaling.attention_factor : 1;
  if (frequencies.every(Number.isFinite) && Number.isFinite(Math.fround(factor))) return;
  const name = ["rope_parameters", "rope_scaling"].find((each) => config.raw(each) !== undefined) ?? "rope_theta";
  throw config.refuse(name, "it gives rotary frequencies or a factor that are not finite");
}

/** More values than any head has. */
const MOST_CHECKED = 1 << 16;

function readScaling(settings: Settings): RopeConfig["scaling"] {
  const { inside, defaults } = settings;
  // Without either object nothing is scaled, even if the top level has fields with these names.
  const first = inside[0];
  if (!first) return { rope_type: "default" };
  const kind = settle([first, ...inside.slice(1)], "rope_type", "type");
  const stated = kind.fields.string(kind.name, "default");
  const rope_type = defaults.isLongRope?.(stated) ? "longrope" : stated;
  const factor = (fallback?: number): number => {
    const { fields, name } = settle(inside, "factor");
    return fields.positive(name, fallback);
  };
  switch (rope_type) {
    case "default":
      return { rope_type };
    case "dynamic":
      // NTK scaling raises the base for texts longer than the model's context, which are not run here.
      return { rope_type: "default" };
    case "linear":
      return { rope_type, factor: factor() };
    case "llama3":
      return readLlama3(settings, factor());
    case "yarn":
      return readYarn(settings, factor(contextRatio(settings)));
    case "longrope":
      return readLongRope(settings, factor(contextRatio(settings)));
    case "proportional":
      return { rope_type, factor: factor(1) };
    default:
      throw kind.fields.refuse(
        kind.name,
        'the supported kinds are "default", "linear", "dynamic", "llama3", "yarn", "longrope" and "proportional"',
      );
  }
}

function readFraction(anywhere: readonly ConfigFields[], defaults: RopeDefaults): number {
  const { fields, name } = settle(anywhere, "partial_rotary_factor");
  const value = fields.raw(name) === 0 ? 0 : fields.positive(name, defaults.partial_rotary_factor);
  if (value > 1) throw fields.refuse(name, "it must be a number from 0 to 1");
  return value;
}

function readLlama3(settings: Settings, factor: number): RopeConfig["scaling"] {
  const low = settle(settings.inside, "low_freq_factor");
  const high = settle(settings.inside, "high_freq_factor");
  const low_freq_factor = low.fields.positive(low.name);
  const high_freq_factor = high.fields.positive(high.name);
  if (high_freq_factor <= low_freq_factor) {
    throw high.fields.refuse(high.name, `it must be above low_freq_factor, which is ${low_freq_factor}`);
  }
  return {
    rope_type: "llama3",
    factor,
    low_freq_factor,
    high_freq_factor,
    original_max_position_embeddings: originalLength(settings),
  };
}

function readYarn(settings: Settings, factor: number): RopeConfig["scaling"] {
  const { inside, anywhere, rope_theta } = settings;
  if (rope_theta === 1) {
    const { fields, name } = settle(anywhere, "rope_theta");
    throw fields.refuse(name, "yarn cannot scale frequencies that are all the same");
  }
  /** As with Python's `or`, 0 counts as absent. */
  const optional = (name: string): number | undefined => {
    const { fields } = settle(inside, name);
    return (fields.raw(name) ?? 0) === 0 ? undefined : fields.positive(name);
  };
  const mscale = optional("mscale");
  const mscaleAll = optional("mscale_all_dim");
  const scaled = (by: number): number => (factor <= 1 ? 1 : 0.1 * by * Math.log(factor) + 1);
  const isGiven = mscale !== undefined && mscaleAll !== undefined;
  const truncate = settle(inside, "truncate");
  return {
    rope_type: "yarn",
    factor,
    original_max_position_embeddings: originalLength(settings),
    beta_fast: optional("beta_fast") ?? 32,
    beta_slow: optional("beta_slow") ?? 1,
    truncate: truncate.fields.boolean(truncate.name, true),
    attention_factor: attentionFactor(inside, isGiven ? scaled(mscale) / scaled(mscaleAll) : scaled(1)),
  };
}

function readLongRope(settings: Settings, factor: number): RopeConfig["scaling"] {
  const { inside, sizes, fraction } = settings;
  const original = originalLength(settings);
  const pairs = Math.ceil(Math.trunc(sizes.head_dim * fraction) / 2);
  const short = settle(inside, "short_factor");
  const long = settle(inside, "long_factor");
  const usual = factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original));
  return {
    rope_type: "longrope",
    short_factor: short.fields.positives(short.name, pairs),
    long_factor: long.fields.positives(long.name, pairs),
    original_max_position_embeddings: original,
    attention_factor: attentionFactor(inside, usual),
  };
}

function attentionFactor(inside: readonly ConfigFields[], usual: number): number {
  const { fields, name } = settle(inside, "attention_factor");
  return fields.positive(name, usual);
}

/** The default factor: the context's length relative to the original one. */
function contextRatio(settings: Settings): number {
  return settings.sizes.max_position_embeddings / originalLength(settings);
}

/** At the top of the file, as in Phi-3, or inside; otherwise the family's, otherwise the context. */
function originalLength({ inside, anywhere, defaults, sizes }: Settings): number {
  const name = "original_max_position_embeddings";
  const top = anywhere.at(-1) as ConfigFields;
  const fallback = defaults.original_max_position_embeddings ?? sizes.max_position_embeddings;
  if (top.raw(name) !== undefined) return top.integer(name);
  return defaults.original_max_position_embeddings ?? settle(inside, name).fields.integer(name, fallback);
}

interface Place {
  readonly fields: ConfigFields;
  readonly name: string;
}

/** The first place where a setting is given, by any of its names; otherwise its proper place. */
function settle(objects: readonly ConfigFields[], ...names: readonly [string, ...string[]]): Place {
  const places = objects.flatMap((fields) => names.map((name): Place => ({ fields, name })));
  const [first, ...others] = places.filter(({ fields, name }) => fields.raw(name) !== undefined);
  if (!first) return places[0] as Place;
  const value = first.fields.raw(first.name);
  const contrary = others.find(({ fields, name }) => !isSame(fields.raw(name), value));
  if (!contrary) return first;
  throw contrary.fields.refuse(contrary.name, `but the same setting is ${show(value)} elsewhere in this file`);
}

function isSame(a: unknown, b: unknown): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return a === b;
  return a.length === b.length && a.every((item, i) => item === b[i]);
}
