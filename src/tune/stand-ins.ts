/**
 * Other weights in place of an operation's own. On a GPU one matrix is read in microseconds, and all layers' together may
 * fit its caches (12 of 768 × 768 in float16 take 14 MB; caches hold up to 96, and 256 on servers), so that samples which go
 * through them again and again would tell how a kernel reads a cache. When tokens are computed, all other weights come
 * between. A kernel takes as long whatever the numbers are: what else the model has stands in for more layers.
 */

/** Weights that samples go through, where the model has as many. */
const BEYOND_CACHES = 256 << 20;

/** Places at most: each has a bind group. Matrices of less than a megabyte may still come from a cache then. */
const MOST_PLACES = 256;

/** Where a matrix is read from: a part of the weight layout, from a byte on. */
export interface Place {
  readonly part: number;
  readonly offset: number;
}

/**
 * Places for a matrix besides its own, so many that no cache holds them all. There are fewer in small models, which stay in
 * the cache when tokens are computed, too, and none beside a matrix that is the largest, such as a head.
 * @param bytes of the matrix
 * @param own its parts, one a layer
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
