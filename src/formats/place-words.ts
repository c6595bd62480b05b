/**
 * Moves weights from their tensor's rows to the places of strips.ts. Everything that is loaded goes through here, so
 * four outputs of a strip go together if they can.
 */

/** Weights as bit patterns: 32-bit or 16-bit words. */
export type Words = Uint32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;

/** An output of the chunk and the output of a tensor that it comes from. */
export interface Placed {
  /** Output, counted from the chunk's first. */
  readonly to: number;
  readonly from: number;
}

/** Input rows that are moved together: few enough that the cache holds a line of each. */
const ROWS_TOGETHER = 64;

/**
 * Places rows of a `[outputs, inputs]` tensor.
 * @param words rows of the tensor from output `first` on
 * @param k inputs
 */
export function placeRows(placed: readonly Placed[], words: Words, first: number, k: number, target: Words): void {
  const sorted = [...placed].sort((a, b) => a.to - b.to);
  const wide = target instanceof Uint16Array ? pairs(target) : null;
  for (let i = 0; i < sorted.length; ) {
    const row = (lane: number): number => ((sorted[i + lane] as Placed).from - first) * k;
    const at = placeOf((sorted[i] as Placed).to, k);
    if (isStrip(sorted, i)) {
      const rows = [row(0), row(1), row(2), row(3)] as const;
      if (wide) interleaveHalves(words, rows, k, wide, at / 2);
      else interleave(words, rows, k, target, at);
      i += 4;
    } else {
      scatter(words, row(0), k, target, at);
      i += 1;
    }
  }
}

/**
 * Places columns of a `[inputs, outputs]` tensor.
 * @param words input rows `first` to `first + rows` of the tensor
 * @param width outputs of the tensor
 * @param k inputs of the whole tensor
 */
export function placeColumns(
  placed: readonly Placed[],
  words: Words,
  first: number,
  rows: number,
  width: number,
  k: number,
  target: Words,
): void {
  // Two 16-bit words are moved as one of 32 if both are at even places everywhere.
  const isPaired = words instanceof Uint16Array && width % 2 === 0 && words.byteOffset % 4 === 0;
  const wide = isPaired ? pairs(words) : words;
  const wideTarget = isPaired ? pairs(target) : target;
  const unit = isPaired ? 2 : 1;
  for (let begin = 0; begin < rows; begin += ROWS_TOGETHER) {
    const end = Math.min(rows, begin + ROWS_TOGETHER);
    for (let i = 0; i < placed.length; ) {
      const { to, from } = placed[i] as Placed;
      const at = placeOf(to, k) + (first + begin) * 4;
      if (isStrip(placed, i) && areNeighbours(placed, i) && from % unit === 0) {
        const source = (begin * width + from) / unit;
        if (isPaired) movePairs(wide, source, width / 2, end - begin, wideTarget, at / 2);
        else moveFours(wide, source, width, end - begin, wideTarget, at);
        i += 4;
      } else {
        let to4 = at;
        for (let source = begin * width + from; source < end * width; source += width, to4 += 4) {
          target[to4] = words[source] as number;
        }
        i += 1;
      }
    }
  }
}

/** The index of (output, 0) in the chunk; further inputs follow at strides of 4. */
function placeOf(to: number, k: number): number {
  return (to >> 2) * Math.ceil(k / 4) * 16 + (to & 3);
}

/** Whether the outputs from index `i` on are a whole strip, in order. */
function isStrip(placed: readonly Placed[], i: number): boolean {
  const to = (placed[i] as Placed).to;
  return to % 4 === 0 && placed[i + 1]?.to === to + 1 && placed[i + 2]?.to === to + 2 && placed[i + 3]?.to === to + 3;
}

/** Whether four outputs from index `i` on are neighbours in the tensor too. */
function areNeighbours(placed: readonly Placed[], i: number): boolean {
  const { from } = placed[i] as Placed;
  return placed[i + 1]?.from === from + 1 && placed[i + 2]?.from === from + 2 && placed[i + 3]?.from === from + 3;
}

function pairs(words: Words): Uint32Array<ArrayBuffer> {
  return new Uint32Array(words.buffer, words.byteOffset, words.byteLength >> 2);
}

/** One row to every fourth place. */
function scatter(words: Words, begin: number, count: number, target: Words, to: number): void {
  for (let i = 0, at = to; i < count; i++, at += 4) target[at] = words[begin + i] as number;
}

/** Four rows, element by element in turn. */
function interleave(
  words: Words,
  [a, b, c, d]: readonly [number, number, number, number],
  count: number,
  target: Words,
  to: number,
): void {
  for (let i = 0, at = to; i < count; i++, at += 4) {
    target[at] = words[a + i] as number;
    target[at + 1] = words[b + i] as number;
    target[at + 2] = words[c + i] as number;
    target[at + 3] = words[d + i] as number;
  }
}

/** As {@link interleave}, of 16-bit words, two of which are written as one. */
function interleaveHalves(
  words: Words,
  [a, b, c, d]: readonly [number, number, number, number],
  count: number,
  target: Words,
  to: number,
): void {
  for (let i = 0, at = to; i < count; i++, at += 2) {
    target[at] = (words[a + i] as number) | ((words[b + i] as number) << 16);
    target[at + 1] = (words[c + i] as number) | ((words[d + i] as number) << 16);
  }
}

/** Four neighbours of each row to four neighbours. */
function moveFours(words: Words, from: number, width: number, rows: number, target: Words, to: number): void {
  for (let row = 0, source = from, at = to; row < rows; row++, source += width, at += 4) {
    target[at] = words[source] as number;
    target[at + 1] = words[source + 1] as number;
    target[at + 2] = words[source + 2] as number;
    target[at + 3] = words[source + 3] as number;
  }
}

/** Like {@link moveFours}, with two words in each. */
function movePairs(words: Words, from: number, width: number, rows: number, target: Words, to: number): void {
  for (let row = 0, source = from, at = to; row < rows; row++, source += width, at += 2) {
    target[at] = words[source] as number;
    target[at + 1] = words[source + 1] as number;
  }
}
