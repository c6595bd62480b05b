/**
 * Chooses the layer to edit: a direction is fitted at each layer from one part of the sentences, and judged on the rest by
 * how removing the concept there changes the model's predictions.
 */

import { entry, options as optionsOf } from "../arguments/entry.ts";
import { fields } from "../arguments/fields.ts";
import { finite } from "../arguments/rules.ts";
import { layerChoiceDefaults } from "../defaults.ts";
import { SluiceError } from "../errors.ts";
import type { Bundle } from "../interventions/bundle-types.ts";
import { ourSiteKind } from "../interventions/site-names.ts";
import { layerTensorNamed } from "../interventions/tensor-names.ts";
import type { Model } from "../model/model.ts";
import { model as anyModel } from "../model/model-argument.ts";
import { holdOutEvery } from "../numbers/hold-out.ts";
import { requireAffineSite, requireBothClasses } from "./classes.ts";
import {
  type DirectionMethod,
  type DirectionOptions,
  directionFields,
  directionMethod,
  measureDirection,
} from "./directions.ts";
import { meanDivergences } from "./edges/judge.ts";
import { requireAblation, takenEverywhere } from "./everywhere.ts";
import type { PooledSentence } from "./pool.ts";
import { sealed } from "./sealed.ts";
import { readClasses } from "./sentences.ts";

/** Options of {@link chooseLayer}. */
export interface LayerChoiceOptions extends Omit<DirectionOptions, "layers" | "alone"> {
  /** Maximum KL(whole ‖ edited) of the next token on held-out negative sentences, in nats; default 0.1. */
  readonly klBound?: number;
}

const { layers: _, alone: _alone, ...choiceFields } = directionFields;

export const layerChoiceDoor = entry(
  "chooseLayer",
  ["model", anyModel],
  ["method", directionMethod],
  optionsOf(fields<LayerChoiceOptions>()({ ...choiceFields, klBound: finite({ least: 0 }) })),
);

/** A layer, and KL(whole ‖ edited) of the next token in nats, averaged over tokens of held-out sentences. */
export interface JudgedLayer {
  /** Layer, from 0. */
  readonly layer: number;
  /** On positive sentences: the intended effect. */
  readonly effect: number;
  /** On negative sentences: the cost. */
  readonly cost: number;
}

/** The layer that {@link chooseLayer} chose, and the bundle fitted there. */
export interface LayerChoice {
  /** The chosen layer, from 0. */
  readonly layer: number;
  /** Fitted at the chosen layer, from the sentences that are not held out. */
  readonly bundle: Bundle;
  /** Effects and costs of all layers, ascending. */
  readonly table: readonly JudgedLayer[];
}

/** Every nth sentence of a class is held out, and at most this many are judged. */
const HELD_EVERY = 5;
const MOST_JUDGED = 24;

/** Alphas that remove the concept, for methods that have one. */
const REMOVING: Readonly<Partial<Record<DirectionMethod, number>>> = { ace: 0, addition: -1 };

/**
 * The layer with the greatest effect among those whose cost stays within the bound, and its bundle. Effects are those
 * of removing the concept: alpha 0 for ace, −1 for addition. With `everywhere`, each layer's direction is judged by taking
 * it out everywhere.
 * @throws SluiceError `usage` if no layer stays within the bound, or for too few sentences; as `fitDirection`
 */
export async function chooseLayer(
  model: Model,
  method: DirectionMethod,
  options: LayerChoiceOptions,
): Promise<LayerChoice> {
  const [, , wanted] = layerChoiceDoor.read(model, method, options);
  const {
    klBound = layerChoiceDefaults.klBound,
    site: named = "resid_post",
    everywhere = false,
    runner,
    signal,
    onProgress,
    ...others
  } = wanted;
  if (everywhere) requireAblation(method);
  const site = requireAffineSite(ourSiteKind(model.config, named));
  requireBothClasses(wanted);
  // All at once, so that errors number the sentences as they were given.
  const read = readClasses(model, wanted, "last");
  const [positive, negative] = [split(wanted.positive), split(wanted.negative)];
  // An edit is judged on all tokens of a sentence.
  const held = { positive: idsOf(split(read.positive).held), negative: idsOf(split(read.negative).held) };
  if (held.positive.length === 0 || held.negative.length === 0) {
    throw new SluiceError("usage", `Choosing a layer needs at least ${HELD_EVERY} sentences of each class`, {
      hint: "Give more sentences, or name the layers.",
    });
  }
  const count = model.config.num_hidden_layers;
  const sentences = positive.fitted.length + negative.fitted.length;
  // In the progress, judging a layer counts as its share of the judged sentences.
  const judged = held.positive.length + held.negative.length;
  const total = sentences + count * judged;
  let before = 0;
  const fitted = await measureDirection(model, method, {
    ...others,
    ...(runner && { runner }),
    ...(signal && { signal }),
    site,
    layers: "all",
    alone: true,
    positive: positive.fitted,
    negative: negative.fitted,
    onProgress: (done, all, kept) => {
      before = (kept / all) * sentences;
      onProgress?.((done / all) * sentences, total, before);
    },
  });
  const editAt = (layer: number): Bundle => {
    const bundle = oneLayer(fitted, layer);
    return everywhere ? takenEverywhere(bundle, model.config, layer) : bundle;
  };
  const id = `${method}_${site}`;
  const alpha = REMOVING[method];
  const table: JudgedLayer[] = [];
  for (let layer = 0; layer < count; layer++) {
    const edited = model.with([editAt(layer)], alpha === undefined ? {} : { params: new Map([[id, { alpha }]]) });
    const [effect, cost] = await meanDivergences(edited, [held.positive, held.negative], { runner, signal });
    table.push({ layer, effect: effect as number, cost: cost as number });
    onProgress?.(sentences + (layer + 1) * judged, total, before);
  }
  const within = table.filter(({ cost }) => cost <= klBound);
  const [best] = within.sort((a, b) => b.effect - a.effect);
  if (!best) {
    const least = Math.min(...table.map(({ cost }) => cost));
    throw new SluiceError(
      "usage",
      `No layer stays within a KL of ${klBound} nats on negative sentences; the least is ${least.toPrecision(3)}`,
      { hint: "Raise the bound, or name the layers.", field: "klBound" },
    );
  }
  const chosen = editAt(best.layer);
  const fit = { ...chosen.manifest.fit, layers: { chosen: best.layer, kl_bound: klBound, table } };
  const bundle = await sealed(model, { ...chosen, manifest: { ...chosen.manifest, fit } }, signal);
  return { layer: best.layer, table, bundle };
}

function idsOf(sentences: readonly PooledSentence[]): readonly (readonly number[])[] {
  return sentences.map(({ tokens }) => tokens);
}

function split<Item>(sentences: readonly Item[]) {
  const { fitted, held } = holdOutEvery(sentences, HELD_EVERY);
  return { fitted, held: held.slice(0, MOST_JUDGED) };
}

/** The bundle for one of a fit's layers. */
function oneLayer(bundle: Bundle, layer: number): Bundle {
  return {
    ...bundle,
    manifest: { ...bundle.manifest, stages: bundle.manifest.stages.map((stage) => ({ ...stage, layers: [layer] })) },
    tensors: new Map([...bundle.tensors].filter(([key]) => layerTensorNamed(key)?.layer === layer)),
  };
}
