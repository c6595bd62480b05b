/** Quantising as MLX does: unsigned codes with a scale and an offset per group, one of the group's ends exact. */
import { SluiceError } from "../errors.ts";

/** MLX's smallest step, for groups of equal weights. */
const LEAST_STEP = 1e-7;

export interface AffineGroup {
  readonly scale: number;
  readonly offset: number;
}

/**
 * Quantises the weights of a group: w ≈ code·scale + offset. The end that is further from 0 is the code 0, so that it is
 * exact, and the step is adjusted so that 0 is exact too.
 * @param bits of a code
 * @param rounded a number as the type of scales and offsets holds it; codes are chosen for the rounded ones
 * @param codes receives a code for each weight
 * @param label names the matrix in errors
 * @throws SluiceError `bad_weights` for weights that are not finite or too large for that type
 */
export function quantizeGroup(
  values: Float64Array,
  bits: 4 | 8,
  rounded: (value: number) => number,
  codes: Uint8Array,
  label: string,
): AffineGroup {
  const most = 2 ** bits - 1;
  let least = Number.POSITIVE_INFINITY;
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < values.length; i++) {
    const value = values[i] as number;
    if (!Number.isFinite(value))
      throw new SluiceError("bad_weights", `${label} holds ${value}: it cannot be quantised`);
    least = Math.min(least, value);
    largest = Math.max(largest, value);
  }
  const isLow = Math.abs(least) > Math.abs(largest);
  const edge = isLow ? least : largest;
  const step = Math.max((largest - least) / most, LEAST_STEP) * (isLow ? 1 : -1);
  const steps = Math.round(edge / step);
  const scale = rounded(steps === 0 ? step : edge / steps);
  const offset = rounded(steps === 0 ? 0 : edge);
  if (!Number.isFinite(scale) || !Number.isFinite(offset)) {
    throw new SluiceError("bad_weights", `${label} holds ${edge}: too large for a 16-bit offset`);
  }
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = 0; i < values.length; i++) {
    const code = Math.floor(((values[i] as number) - offset) * inverse + 0.5);
    codes[i] = Math.max(0, Math.min(most, code));
  }
  return { scale, offset };
}
