/** Which numbers of a list are the largest. */

/** Indices of the `count` largest values in falling order, of equal ones the smaller index first. */
export function indicesOfLargest(values: ArrayLike<number>, count: number): readonly number[] {
  const found: number[] = [];
  for (let index = 0; index < values.length; index++) {
    const own = values[index] as number;
    if (found.length === count && !(own > (values[found[count - 1] as number] as number))) continue;
    let at = found.length;
    while (at > 0 && own > (values[found[at - 1] as number] as number)) at--;
    found.splice(at, 0, index);
    if (found.length > count) found.pop();
  }
  return found;
}
