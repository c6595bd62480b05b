/** Strengths that float32 has no right result for: refused, before anything wrong is computed. */
import { SluiceError } from "../errors.ts";
import { largest } from "./balanced-rows.ts";
import { numberText } from "./describe-values.ts";
import { hasAlpha, kindOf } from "./kinds/kinds.ts";
import type { Positions } from "./positions.ts";
import {
  type EdgeMaskStage,
  isAtSite,
  type NeuronScaleStage,
  type NeuronValues,
  type SiteStage,
  type Stage,
  type StageValues,
} from "./stage.ts";
import type { StageScale } from "./stage-scale.ts";

/** What acts on a sequence. Lists are by stage. */
export interface ActingStages {
  readonly stages: readonly Stage[];
  readonly strengths: readonly number[];
  readonly alphas: readonly number[];
  readonly positions: readonly Positions[];
  readonly tensors: readonly ReadonlyMap<number, StageValues>[];
  readonly scales: readonly StageScale[];
  /** Of the stream. */
  readonly width: number;
}

/** Devices may take smaller numbers for 0. */
const LEAST = 2 ** -126;
/** Replacements below this do nothing at such a strength. */
const SMALL_CONSTANT = 2 ** 64;
/** What adds less leaves the row most of its digits, whatever happens to it. */
const LARGE = 2 ** 20;
/** Of what was added, the rest that shows no more digits than float32 lost. */
const REST = 2 ** -12;

/**
 * @throws SluiceError `usage` naming the stage and its strength: a mask so weak that only its constants count, neurons so
 *   strongly scaled that those with scales near 1 lose their values, or what one stage adds and a later one at the same
 *   place takes away, so that float32 keeps no digits of the row that it was added to
 */
export function checkStrengths(acting: ActingStages): void {
  acting.stages.forEach((stage, i) => {
    const strength = acting.strengths[i] as number;
    if (strength === 0) return;
    if (!isAtSite(stage)) checkMask(stage, strength);
    else if (stage.kind === "neuron_scale" && Math.abs(strength) > LARGE) checkFactors(acting, i, stage);
    else if (reachOf(acting, i) > LARGE) checkAdded(acting, stage, acting.positions[i] as Positions);
  });
}

function checkMask({ id, constants }: EdgeMaskStage, strength: number): void {
  if (Math.abs(strength) >= LEAST || !constants || largest(constants) < SMALL_CONSTANT) return;
  throw new SluiceError(
    "usage",
    `The strength of stage ${id} is ${numberText(strength)}, which is 0 to some devices, beside constants of up to ${numberText(largest(constants))}`,
    { hint: "Make the constants smaller and the strength larger.", field: "strength" },
  );
}

/** Factors are (1 − s) + s·scale: of one that is much smaller than s, float32 loses the digits. */
function checkFactors({ strengths, tensors }: ActingStages, index: number, { id, layers }: NeuronScaleStage): void {
  const s = strengths[index] as number;
  for (const layer of layers) {
    const { scale } = (tensors[index]?.get(layer) ?? {}) as NeuronValues;
    const lost = scale?.findIndex((value) => Math.abs(1 + s * (value - 1)) < Math.abs(s) * REST) ?? -1;
    if (lost < 0) continue;
    throw new SluiceError(
      "usage",
      `The strength of stage ${id} is ${numberText(s)}, and the scale of neuron ${lost} in layer ${layer} ${numberText(scale?.[lost] ?? 1)}: float32 keeps no digits of what that makes`,
      { hint: "Lower the strength, and move the scales further from 1.", field: "strength" },
    );
  }
}

/** The most that a stage adds to an element. */
function reachOf({ stages, strengths, alphas, scales }: ActingStages, i: number): number {
  const alpha = hasAlpha(stages[i] as Stage) ? (alphas[i] as number) : 1;
  return Math.abs((strengths[i] as number) * alpha) * (scales[i]?.mostAdded ?? 0);
}

/** Follows what is added to a row of zeros through all stages that act on the same tokens at the places of a stage. */
function checkAdded(acting: ActingStages, stage: SiteStage, positions: Positions): void {
  for (const layer of stage.layers) {
    const place = placeOf(stage.site, layer);
    const row = new Float64Array(acting.width);
    let most = 0;
    let last = stage;
    for (const { index, at, other } of actingAt(acting, place, positions)) {
      const before = largest(row);
      apply(acting, index, other, at, row);
      most = Math.max(most, largest(row));
      if (largest(row) < before) last = other;
    }
    if (most <= LARGE || largest(row) >= most * REST) continue;
    throw new SluiceError(
      "usage",
      `Stage ${last.id} takes away what stage ${stage.id} adds at ${stage.site}.${layer}, up to ${numberText(most)}: float32 has 7 digits, so nothing of the row is left`,
      { hint: "Lower the strength of the one that adds, or leave both out.", field: "strength" },
    );
  }
}

interface Acting {
  readonly index: number;
  readonly other: SiteStage;
  /** Its layer. */
  readonly at: number;
}

/** Stages at a place, in the order in which they act: the end of a block is the beginning of the next. */
function actingAt({ stages, ...acting }: ActingStages, place: string, tokens: Positions): readonly Acting[] {
  const same = JSON.stringify(tokens);
  const found = stages.flatMap((other, index) =>
    isAtSite(other) &&
    acting.strengths[index] !== 0 &&
    (tokens === "all" || acting.positions[index] === "all" || JSON.stringify(acting.positions[index]) === same)
      ? other.layers.filter((at) => placeOf(other.site, at) === place).map((at) => ({ index, other, at }))
      : [],
  );
  return found.sort((a, b) => a.at - b.at || a.index - b.index);
}

function placeOf(site: SiteStage["site"], layer: number): string {
  return site === "resid_post" ? `resid_pre.${layer + 1}` : `${site}.${layer}`;
}

function apply(acting: ActingStages, index: number, stage: SiteStage, layer: number, row: Float64Array): void {
  const { lowering } = kindOf(stage);
  const values = acting.tensors[index]?.get(layer) ?? {};
  const s = acting.strengths[index] as number;
  if (lowering.form === "elements") {
    const { scale, shift } = lowering.lower(stage, values);
    row.forEach((value, i) => {
      row[i] = value + s * (((scale?.[i] ?? 1) - 1) * value + (shift?.[i] ?? 0));
    });
    return;
  }
  const { v, u, c, b } = lowering.lower(stage, values, acting.width);
  const gate = lowering.gate(stage);
  const taken = v.map((reads, k) => {
    const y = reads.reduce((sum, value, i) => sum + value * (row[i] as number), -(c[k] as number));
    if (gate === "identity") return y;
    return gate === "relu" ? Math.max(y, 0) : y - Math.min(Math.max(y, gate.clamp[0]), gate.clamp[1]);
  });
  const alpha = hasAlpha(stage) ? (acting.alphas[index] as number) : 1;
  row.forEach((value, i) => {
    const away = u.reduce((sum, each, k) => sum + (taken[k] as number) * (each[i] as number), 0);
    row[i] = value + s * (alpha * (b?.[i] ?? 0) - away);
  });
}
