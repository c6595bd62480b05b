/** Strengths that float32 has no right result for: refused, before anything wrong is computed. */
import { SluiceError } from "../errors.ts";
import { largest } from "./balanced-rows.ts";
import { checkCancelled, LARGE, REST } from "./cancelled-rows.ts";
import { numberText } from "./describe-values.ts";
import type { ActingStages } from "./settings.ts";
import { type EdgeMaskStage, isAtSite, type NeuronScaleStage, type NeuronValues } from "./stage.ts";

/** Devices may take smaller numbers for 0. */
const LEAST = 2 ** -126;
/** Replacements below this do nothing at such a strength. */
const SMALL_CONSTANT = 2 ** 64;

/**
 * @throws SluiceError `usage` naming the stage and its strength: a mask so weak that only its constants count, neurons so
 *   strongly scaled that those with scales near 1 lose their values, or what one stage adds and a later one takes away, so
 *   that float32 keeps no digits of the row that it was added to
 */
export function checkStrengths(acting: ActingStages): void {
  acting.stages.forEach((stage, i) => {
    const strength = acting.strengths[i] as number;
    if (strength === 0) return;
    if (!isAtSite(stage)) checkMask(stage, strength);
    else if (stage.kind === "neuron_scale" && Math.abs(strength) > LARGE) checkFactors(acting, i, stage);
  });
  checkCancelled(acting);
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
