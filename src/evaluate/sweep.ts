/** Interventions at many strengths and layers: what they cost on texts, and what they do to prompts. */
import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields, needed } from "../arguments/fields.ts";
import { listOf, prompt, tokens } from "../arguments/lists.ts";
import { signal as abortSignal, callback, float32, text, whole } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import {
  type BundleInput,
  bundles as bundleList,
  composeSettings,
  type PrefixedBundle,
  type SettingsInput,
} from "../interventions/arguments.ts";
import type { ComposedBundle } from "../interventions/bundle-types.ts";
import { compose } from "../interventions/compose.ts";
import { layerNumbers, layersFrom } from "../model/layer-numbers.ts";
import type { Model } from "../model/model.ts";
import { model as anyModel } from "../model/model-argument.ts";
import type { PromptInput } from "../model/request.ts";
import { inProcess, type ShardRunner, shardRunner } from "../shards/shards.ts";
import { show } from "../show.ts";
import { type Scorer, scoreOf } from "./continuations.ts";
import { composedId, movedTo } from "./moved-layers.ts";
import { windowsIn } from "./predictions.ts";
import { hasPromptScope } from "./prompt-scopes.ts";
import { type CellTexts, type MeasuredCell, measuredCell, type PromptEffect } from "./sweep-cell.ts";

/** Options of {@link sweep}: what is varied, and texts, prompts or both to measure it on. */
export interface SweepOptions {
  /** Strengths that the swept stages get, one after another. */
  readonly strengths: readonly number[];
  /**
   * Layers at which the swept stages act, one after another; default: where the bundles have them. A stage with values for
   * the layer uses these; an affine stage that was fitted at one layer takes them along.
   */
  readonly layers?: "all" | readonly number[];
  /** Ids of the swept stages; default: all, or with layers all that act at a site. Others keep their own strengths. */
  readonly stages?: readonly string[];
  /** Alphas, positions and other stages' strengths, in place of the bundles' own. */
  readonly settings?: SettingsInput;
  /** Texts as token ids, to be predicted; including BOS if wanted. */
  readonly documents?: readonly (readonly number[])[];
  /** Prompts whose next token is predicted. */
  readonly prompts?: readonly PromptInput[];
  /** Tokens to continue each prompt by, the likeliest at each step; default 0: none. */
  readonly newTokens?: number;
  /** Judges the continuations. */
  readonly scorer?: Scorer;
  /** Aborts the call, which then fails with `aborted`. */
  readonly signal?: AbortSignal;
  /** Does the work elsewhere, such as on other machines. The result is the same on one kind of device. */
  readonly runner?: ShardRunner;
  /** Called with cells measured so far, and in all. */
  onProgress?(done: number, total: number): void;
}

export const sweepDoor = entry(
  "sweep",
  ["model", anyModel],
  ["bundles", bundleList],
  optionsOf(
    fields<SweepOptions>()({
      strengths: needed(listOf(float32, { least: 1 })),
      layers: layerNumbers,
      stages: listOf(text, { least: 1 }),
      settings: composeSettings,
      documents: listOf(tokens),
      prompts: listOf(prompt),
      newTokens: whole({ least: 0 }),
      scorer: callback<Scorer>(),
      signal: abortSignal,
      runner: shardRunner,
      onProgress: callback<NonNullable<SweepOptions["onProgress"]>>(),
    }),
  ),
);

/** A prompt's effect, with its continuation's score if continuations are judged. */
export interface SweptPrompt extends PromptEffect {
  /** The scorer's result; absent without one. */
  readonly score?: number;
}

/** What was measured on prompts, averaged over them. */
export interface CellPrompts {
  /** KL(plain ‖ edited) of the next token, in nats. */
  readonly kl_nats: number;
  /** Share of prompts whose likeliest next token stays the same. */
  readonly agreement: number;
  /** Mean score of the continuations; null without a scorer. */
  readonly score: number | null;
  /** Each prompt, in order. */
  readonly each: readonly SweptPrompt[];
}

/** One setting. */
export interface SweepCell {
  /** Where the swept stages act; null: where the bundles have them. */
  readonly layer: number | null;
  /** Their strength. */
  readonly strength: number;
  /** Null without texts. */
  readonly texts: CellTexts | null;
  /** Null without prompts. */
  readonly prompts: CellPrompts | null;
}

/** The result of {@link sweep}. */
export interface Sweep {
  /** Ids of the swept stages. */
  readonly stages: readonly string[];
  /** As given. */
  readonly strengths: readonly number[];
  /** Ascending; null alone without `layers`. */
  readonly layers: readonly (number | null)[];
  /** Ids of stages whose positions depend on a prompt's length: when predicting, these acted at every token. */
  readonly widened: readonly string[];
  /** Layer by layer, within each in the order of the strengths. */
  readonly cells: readonly SweepCell[];
}

/**
 * Measures a model at every strength and layer of its interventions: perplexity and KL on texts, the next token after
 * prompts, and continuations of these. A cell is a shard.
 * @param bundles as for `model.with`; interventions of the model itself are left out
 * @throws SluiceError `usage` for nothing to measure, a stage that does not exist or cannot act at a layer; `bad_bundle`;
 *   `non_finite`; errors of generating and of the scorer
 */
export async function sweep(
  model: Model,
  bundles: readonly (BundleInput | PrefixedBundle)[],
  options: SweepOptions,
): Promise<Sweep> {
  const [, composed, wanted] = sweepDoor.read(model, bundles, options);
  const { strengths, settings = {}, documents, prompts, newTokens = 0, scorer, signal } = wanted;
  if (!documents && !prompts) throw new SluiceError("usage", "There is nothing to measure on: no texts, no prompts");
  if (documents && !documents.some(({ length }) => length > 1)) {
    throw new SluiceError("usage", "There is no token to predict: every text is shorter than two tokens");
  }
  if (prompts?.length === 0) throw new SluiceError("usage", "There is no prompt");
  if (scorer && (newTokens === 0 || !prompts)) {
    throw new SluiceError("usage", "A scorer judges continuations, and there are none", {
      hint: "Give prompts, and a number of new tokens.",
      field: "newTokens",
    });
  }
  const stages = sweptStages(composed, wanted);
  const layers = wanted.layers === undefined ? [null] : layersFrom(model.config, wanted.layers);
  const windows = documents ? windowsIn(documents, model.config) : [];
  const encoded = (prompts ?? []).map((given) => model.encode(given));
  const places = layers.flatMap((layer) => strengths.map((strength) => ({ layer, strength })));
  const models = places.map(({ layer, strength }, i) => {
    const own = stages.map((id) => [id, strength] as const);
    const { stages: acting, warnings } = compose(
      model.config,
      layer === null ? composed : movedTo(composed, new Set(stages), layer),
      { ...settings, strengths: new Map([...(settings.strengths ?? []), ...own]) },
    );
    // They are about the bundles, whatever the strength and layer.
    if (i === 0) warnings.forEach(model.internals.onNotice);
    return model.withStages({ stages: acting, warnings });
  });
  const shards = places.map(({ layer, strength }, i) => ({
    label: `strength ${strength}${layer === null ? "" : ` at layer ${layer}`}`,
    model: models[i] as Model,
    input: { windows, prompts: encoded, newTokens },
  }));
  const { runner = inProcess, onProgress } = wanted;
  const cells: SweepCell[] = [];
  const onDone = (done: number): void => onProgress?.(done, shards.length);
  for await (const measured of runner.run(measuredCell, shards, { signal, onProgress: onDone })) {
    const place = places[cells.length] as (typeof places)[number];
    cells.push({ ...place, texts: measured.texts, prompts: await promptsOf(measured, scorer) });
  }
  const widened = (models[0]?.stages ?? []).filter(hasPromptScope).map(({ id }) => id);
  return { stages, strengths, layers, widened, cells };
}

/** @throws SluiceError `usage` for an id that no bundle has, or if there is nothing to sweep */
function sweptStages(
  bundles: readonly ComposedBundle[],
  { stages, layers }: Pick<SweepOptions, "stages" | "layers">,
): readonly string[] {
  const all = bundles.flatMap(({ bundle, prefix }) =>
    bundle.manifest.stages.map(({ id, kind }) => ({ id: composedId(id, prefix), kind })),
  );
  const ids = all.map(({ id }) => id);
  const unknown = stages?.find((id) => !ids.includes(id));
  if (unknown !== undefined) {
    throw new SluiceError("usage", `There is no stage ${show(unknown)}`, {
      hint: ids.length > 0 ? `There are ${ids.join(", ")}.` : "Give a bundle that has it.",
      field: "stages",
    });
  }
  const swept = stages ?? all.filter(({ kind }) => layers === undefined || kind !== "edge_mask").map(({ id }) => id);
  if (swept.length > 0) return swept;
  throw new SluiceError("usage", "There is no stage to sweep", { hint: "Give bundles that have some." });
}

async function promptsOf({ prompts }: MeasuredCell, scorer: Scorer | undefined): Promise<CellPrompts | null> {
  if (prompts.length === 0) return null;
  const each: SweptPrompt[] = [];
  for (const effect of prompts) {
    const { tokens: said, text: words = null } = effect;
    each.push(scorer && said ? { ...effect, score: await scoreOf(scorer, { tokens: said, text: words }) } : effect);
  }
  const mean = (of: (effect: SweptPrompt) => number): number => {
    return each.reduce((sum, effect) => sum + of(effect), 0) / each.length;
  };
  return {
    kl_nats: mean(({ kl_nats }) => kl_nats),
    agreement: mean(({ plain_token, edited_token }) => (plain_token === edited_token ? 1 : 0)),
    score: scorer ? mean(({ score = 0 }) => score) : null,
    each,
  };
}
