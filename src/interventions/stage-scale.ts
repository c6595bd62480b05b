/**
 * Strengths and alphas as float32 multiplies with them. A strength of 1e-40 is 0 to many devices, and yet 0.01 with a
 * direction of 1e38: what of a stage is extreme goes from its vectors into the factors of each sequence, as a power of two.
 */
import { balancedRows, extremePower, largest } from "./balanced-rows.ts";
import { hasAlpha, kindOf } from "./kinds/kinds.ts";
import type { SiteStage, StageValues } from "./stage.ts";

/** By what a stage's vectors are divided, in all layers. */
export interface StageScale {
  /** U; or scale and shift of neurons. */
  readonly row: number;
  /** b. */
  readonly added: number;
  /** The largest magnitude in b; or in shift. */
  readonly mostAdded: number;
  /** The most that the rest makes of a row near 1. */
  readonly mostChanged: number;
}

export const unscaled: StageScale = { row: 1, added: 1, mostAdded: 0, mostChanged: 0 };

/** @param tensors the stage's, by layer */
export function scaleOf(stage: SiteStage, tensors: ReadonlyMap<number, StageValues>, width: number): StageScale {
  const { lowering } = kindOf(stage);
  let [row, added, mostAdded, mostChanged] = [0, 0, 0, 0];
  for (const values of tensors.values()) {
    if (lowering.form === "elements") {
      const { scale = [], shift = [] } = lowering.lower(stage, values);
      row = largest(shift, largest(scale, row));
      mostAdded = largest(shift, mostAdded);
      mostChanged = largest(scale, mostChanged);
      continue;
    }
    const { v, u, c, b = [] } = balancedRows(lowering.lower(stage, values, width), lowering.gate(stage));
    for (const each of u) row = largest(each, row);
    added = largest(b, added);
    mostAdded = added;
    const changed = u.map((each, k) => largest(each) * ((v[k]?.reduce(sumOf, 0) ?? 0) + Math.abs(c[k] ?? 0)));
    mostChanged = Math.max(mostChanged, changed.reduce(sumOf, 0));
  }
  return { row: extremePower(row), added: extremePower(added), mostAdded, mostChanged };
}

function sumOf(sum: number, value: number): number {
  return sum + Math.abs(value);
}

/** The smallest number that no device takes for 0. */
const LEAST = 2 ** -126;

/**
 * The two factors of a stage in a sequence, as its record in the stage table has them: what multiplies U, or scale and
 * shift; then what multiplies b, or the neurons themselves. The first is 0 only if the strength is: what it leaves out
 * below 1.2e-38 is less than float32 can show beside the row.
 */
export function factorsOf(
  stage: SiteStage,
  { strength, alpha }: { readonly strength: number; readonly alpha: number },
  { row, added }: StageScale,
): readonly [own: number, other: number] {
  const s = rounded(strength);
  const own = Math.fround(s * row);
  const other = kindOf(stage).lowering.form === "elements" ? 1 - s : s * (hasAlpha(stage) ? rounded(alpha) : 1) * added;
  return [s !== 0 && Math.abs(own) < LEAST ? Math.sign(s) * LEAST : own, Math.fround(other)];
}

/** As float32 rounds it; a number that float32 has few digits for keeps all of them. */
function rounded(value: number): number {
  return Math.abs(value) < LEAST ? value : Math.fround(value);
}
