/** Sizes in whole units. */

/** The least multiple of `multiple` that is at least `value`. */
export function roundUp(value: number, multiple: number): number {
  return Math.ceil(value / multiple) * multiple;
}

/** Floats of a row that is stored in whole vec4s. */
export function ceil4(width: number): number {
  return roundUp(width, 4);
}
