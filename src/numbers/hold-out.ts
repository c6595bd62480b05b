/** Holds out a part for judging a fit: spread over a list, so that its order does not matter, and always the same. */

export interface Split<Item> {
  readonly fitted: readonly Item[];
  readonly held: readonly Item[];
}

/** Holds out the last of every `n`. */
export function holdOutEvery<Item>(items: readonly Item[], every: number): Split<Item> {
  return splitBy(items, (i) => i % every === every - 1);
}

/** Holds out a share from 0 to 1, rounded down. */
export function holdOutShare<Item>(items: readonly Item[], share: number): Split<Item> {
  return splitBy(items, (i) => Math.floor((i + 1) * share) > Math.floor(i * share));
}

function splitBy<Item>(items: readonly Item[], isHeld: (index: number) => boolean): Split<Item> {
  return { fitted: items.filter((_, i) => !isHeld(i)), held: items.filter((_, i) => isHeld(i)) };
}
