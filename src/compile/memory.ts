/**
 * Activation memory: values get buffers by liveness, so that a few buffers serve the whole model.
 *
 * Values that live at the same time never share a buffer. Since an operation's inputs and outputs are all alive
 * while it runs, no dispatch ever binds one buffer both readable and writable, which WebGPU forbids.
 */

/** The span of operations during which a value's contents matter. */
export interface Lifetime {
  readonly id: number;
  readonly byteLength: number;
  /** Index of the operation that writes it. */
  readonly first: number;
  /** Index of the last operation that reads it; at least `first`. */
  readonly last: number;
}

export interface Placement {
  /** Buffer index by value id. */
  readonly bufferOf: ReadonlyMap<number, number>;
  readonly byteLengths: readonly number[];
}

/**
 * Greedy by size (Pisarchyk and Lee 2020, arXiv 2001.03288): the largest values choose first, each takes the
 * smallest existing buffer that is free during its life and large enough, else a new one.
 */
export function placeValues(lifetimes: readonly Lifetime[]): Placement {
  const bufferOf = new Map<number, number>();
  const buffers: { byteLength: number; residents: Lifetime[] }[] = [];
  const bySize = [...lifetimes].sort((a, b) => b.byteLength - a.byteLength || a.first - b.first);
  for (const value of bySize) {
    const isFree = (buffer: { residents: Lifetime[] }) =>
      buffer.residents.every((other) => other.last < value.first || value.last < other.first);
    let best = -1;
    buffers.forEach((buffer, i) => {
      if (isFree(buffer) && (best < 0 || buffer.byteLength < (buffers[best]?.byteLength ?? 0))) best = i;
    });
    if (best < 0) best = buffers.push({ byteLength: value.byteLength, residents: [] }) - 1;
    buffers[best]?.residents.push(value);
    bufferOf.set(value.id, best);
  }
  return { bufferOf, byteLengths: buffers.map(({ byteLength }) => byteLength) };
}
