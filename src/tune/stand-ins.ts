/**
 * Other weights instead of an operation's own. A GPU reads one matrix in microseconds, and all layers' together may
 * fit its caches (12 of 768 × 768 in float16 take 14 MB; caches hold up to 96 MB, 256 MB on servers). Samples that go
 * through them repeatedly would measure reads from a cache. When tokens are computed, all other weights come
 * in between. A kernel's time does not depend on the numbers, so the model's other weights stand in for more layers.
 */

/** Bytes of weights that samples go through, if the model has that many. */
const BEYOND_CACHES = 256 << 20;

/** Maximum number of places: each has a bind group. Matrices below a megabyte may still come from a cache. */
const MOST_PLACES = 256;

/** The place of a matrix: a part of the weight layout, from a byte on. */
export interface Place {
  readonly part: number;
  readonly offset: number;
}

/**
 * Further places for a matrix, enough that no cache holds them all. There are fewer in small models, which stay in
 * the cache when tokens are computed too, and none for the largest matrix, such as a head.
 * @param bytes of the matrix
 * @param own its parts, one per layer
 * @param partBytes of all parts
 * @param alignment of offsets
 */
export function standIns(
  bytes: number,
  own: ReadonlySet<number>,
  partBytes: readonly number[],
  alignment: number,
): readonly Place[] {
  const wanted = Math.min(MOST_PLACES, Math.ceil(BEYOND_CACHES / bytes)) - own.size;
  const stride = Math.ceil(bytes / alignment) * alignment;
  const all = partBytes.flatMap((available, part): Place[] => {
    if (own.has(part)) return [];
    const count = available < bytes ? 0 : 1 + Math.floor((available - bytes) / stride);
    return Array.from({ length: count }, (_, i) => ({ part, offset: i * stride }));
  });
  if (all.length <= wanted) return all;
  return Array.from({ length: Math.max(0, wanted) }, (_, i) => all[Math.floor((i * all.length) / wanted)] as Place);
}
