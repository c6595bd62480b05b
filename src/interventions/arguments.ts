/** Rules for what callers hold of interventions: bundles, settings of their stages, and changes while a model runs. */

import { fields, needed } from "../arguments/fields.ts";
import { floats, isOptions, listOf, type Table, tableOf, tokens, tuple } from "../arguments/lists.ts";
import { either, type Rule, test } from "../arguments/rule.ts";
import { finite, flag, float32, oneOf, text, whole } from "../arguments/rules.ts";
import { type StoredTensor, storedTensor } from "../formats/safetensors.ts";
import type { Bundle, ComposedBundle, ComposeSettings } from "./bundle-types.ts";
import { checkPositions } from "./check-positions.ts";
import { tensorNames } from "./kinds/kinds.ts";
import { type Check, checkManifest, type Manifest } from "./manifest.ts";
import type { Positions } from "./positions.ts";
import type { ModelShape } from "./sites.ts";
import type { AffineSite, EdgeMaskStage, NeuronSite, StageValues } from "./stage.ts";

/** A bundle as callers may write one: tables as Maps or plain objects. */
export interface BundleInput extends Pick<Bundle, "file" | "manifest"> {
  /** Tensors by name. */
  readonly tensors: Table<StoredTensor>;
  /** Further metadata of the file; default: none. */
  readonly metadata?: Table<string>;
}

/** A bundle and the prefix that makes its ids `PREFIX/ID`. */
export interface PrefixedBundle {
  /** The bundle. */
  readonly bundle: BundleInput;
  /** Makes its ids `PREFIX/ID`. */
  readonly prefix?: string;
}

/** Settings of a composition as callers write them: tables as Maps or plain objects. */
export interface SettingsInput extends Pick<ComposeSettings, "edges" | "digests"> {
  /** Strengths by stage id, in place of the bundles' own. */
  readonly strengths?: Table<number>;
  /** Alphas by stage id, in place of the bundles' own. */
  readonly params?: Table<{ readonly alpha: number }>;
  /** Positions by stage id, in place of the bundles' own. */
  readonly positions?: Table<Positions>;
}

/** Every tensor that some stage can have. */
type AnyTensors = { readonly [Name in KeysOf<StageValues>]?: Float32Array };
type KeysOf<Values> = Values extends unknown ? keyof Values : never;

const bundleFields = fields<BundleInput>(
  "a bundle, as loadBundle and the fits give it",
  "kept",
)({
  file: needed(text),
  manifest: needed(test<Manifest>("the manifest of a bundle", isOptions)),
  tensors: needed(tableOf(storedTensor)),
  metadata: tableOf(text),
});

/** A bundle, its manifest checked as `readBundle` does. */
export const bundle: Rule<Bundle, BundleInput> = {
  ...bundleFields,
  read(value, place) {
    const { metadata = new Map<string, string>(), ...rest } = bundleFields.read(value, place);
    checkManifest(rest.manifest, rest.file);
    return { ...rest, metadata };
  },
};

const prefixed = fields<PrefixedBundle>("{ bundle, prefix }", "kept")({ bundle: needed(bundle), prefix: text });

/** A bundle, or one with its prefix. */
const prefixedBundle: Rule<ComposedBundle, BundleInput | PrefixedBundle> = {
  takes: bundle.takes,
  suits: isOptions,
  read: (value, place) =>
    isOptions(value) && "bundle" in value ? prefixed.read(value, place) : { bundle: bundle.read(value, place) },
};

export const bundles = listOf(prefixedBundle);

/** Positions in any form that a bundle may have. */
export const positions: Rule<Positions> = {
  takes: "positions",
  suits: () => true,
  read(value, place) {
    const check = (given: unknown): Positions =>
      checkPositions(given, (field, problem, hint) =>
        place.within(field.replace(/^positions/, "")).error(problem, hint === undefined ? {} : { hint }),
      );
    // A copy that stays as it was checked, also of a list that some framework watches.
    return check(JSON.parse(JSON.stringify(check(value))));
  },
};

export const composeSettings = fields<SettingsInput>("an object of settings")({
  strengths: tableOf(float32),
  params: tableOf(fields<{ readonly alpha: number }>("{ alpha }")({ alpha: needed(float32) })),
  positions: tableOf(positions),
  edges: either(oneOf(["all"]), listOf(tuple("[source, destination]", text, text))),
  digests: fields<NonNullable<ComposeSettings["digests"]>>("{ weights_sha256, tokenizer_sha256 }")({
    weights_sha256: text,
    tokenizer_sha256: text,
  }),
});

/** A site's name, ours or another tool's; whether a stage can act there is for the model to say. */
export const affineSite = test<AffineSite>("the name of a site", (value) => typeof value === "string");
export const neuronSite = test<NeuronSite>("the name of a site", (value) => typeof value === "string");

/** Edges with their values in a mask. */
export const maskedEdges = listOf(tuple("[source, destination, value]", text, text, finite({ least: 0, most: 1 })));

/** Tensors of a stage at a layer; which of them it has, it says itself. */
export const stageValues = fields<AnyTensors>("tensors by name")(
  Object.fromEntries(tensorNames.map((name) => [name, floats])) as Record<keyof AnyTensors, typeof floats>,
);

/** What replaces cut sources, by class of destination. */
export const replacements = fields<Partial<EdgeMaskStage["replace"]>>("{ attn, mlp, logits }")({
  attn: oneOf(["zero", "constants"]),
  mlp: oneOf(["zero", "constants"]),
  logits: oneOf(["zero", "constants"]),
});

export const check = fields<Check>(
  "a check { tokens, prompt_length, top, atol }",
  "kept",
)({
  tokens: needed(tokens),
  prompt_length: whole({ least: 1 }),
  top: needed(listOf(tuple("[token, logit]", whole({ least: 0 }), float32), { least: 1 })),
  atol: needed(finite({ least: 0 })),
});

/** A model's sizes, as its config has them. */
export const modelShape: Rule<ModelShape> = fields<ModelShape>(
  "a model's config",
  "kept",
)({
  model_type: needed(text),
  mlp: needed(oneOf(["plain", "gated"])),
  learned_positions: needed(flag),
  num_hidden_layers: needed(whole({ least: 1 })),
  hidden_size: needed(whole({ least: 1 })),
  num_attention_heads: needed(whole({ least: 1 })),
  num_key_value_heads: needed(whole({ least: 1 })),
  head_dim: needed(whole({ least: 1 })),
  intermediate_size: needed(whole({ least: 1 })),
  vocab_size: needed(whole({ least: 1 })),
});
