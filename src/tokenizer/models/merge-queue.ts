/** Merging the symbols of one word, the best pair first. */
import type { PairTable } from "./pair-table.ts";

/** A pair is queued as rank * POSITIONS + position: one number below 2^53, whose order is the order of merging. */
const POSITIONS = 2 ** 29;

/** Working memory for longer words is not kept. */
const KEPT = 4096;

export class MergeQueue {
  readonly #merges: Merges;
  readonly #heap: number[] = [];
  #next = new Int32Array(KEPT);
  #previous = new Int32Array(KEPT);

  constructor(merges: Merges) {
    this.#merges = merges;
  }

  /**
   * Merges neighbours until no pair is left, by rank and then from the left.
   * @param symbols ids of the word's characters; used up
   * @param ids the merged ids are added to it
   */
  merge(symbols: number[], ids: number[]): void {
    const { ranks, merged } = this.#merges;
    const count = symbols.length;
    const kept = count <= KEPT;
    const next = kept ? this.#next : new Int32Array(count);
    const previous = kept ? this.#previous : new Int32Array(count);
    for (let i = 0; i < count; i++) {
      next[i] = i + 1;
      previous[i] = i - 1;
      if (i > 0) this.#offer(symbols, i - 1, i);
    }
    for (let top = this.#pop(); top >= 0; top = this.#pop()) {
      const rank = Math.floor(top / POSITIONS);
      const at = top - rank * POSITIONS;
      const right = next[at] as number;
      // Since it was queued, the left symbol may have been merged away, or either may have become another.
      if (symbols[at] === -1 || right >= count) continue;
      const now = ranks.get(symbols[at] as number, symbols[right] as number);
      if (now < 0 || merged[now] !== merged[rank]) continue;
      symbols[at] = merged[rank] as number;
      symbols[right] = -1;
      const after = next[right] as number;
      next[at] = after;
      if (after < count) {
        previous[after] = at;
        this.#offer(symbols, at, after);
      }
      const before = previous[at] as number;
      if (before >= 0) this.#offer(symbols, before, at);
    }
    for (let i = 0; i < count; i = next[i] as number) ids.push(symbols[i] as number);
  }

  #offer(symbols: readonly number[], left: number, right: number): void {
    const rank = this.#merges.ranks.get(symbols[left] as number, symbols[right] as number);
    if (rank >= 0) this.#push(rank * POSITIONS + left);
  }

  #push(value: number): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(value);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const above = heap[parent] as number;
      if (above <= value) break;
      heap[at] = above;
      at = parent;
    }
    heap[at] = value;
  }

  /** The smallest, or -1. */
  #pop(): number {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined) return -1;
    const count = heap.length;
    if (count === 0) return last;
    const top = heap[0] as number;
    let at = 0;
    for (let child = 1; child < count; child = at * 2 + 1) {
      if (child + 1 < count && (heap[child + 1] as number) < (heap[child] as number)) child++;
      if ((heap[child] as number) >= last) break;
      heap[at] = heap[child] as number;
      at = child;
    }
    heap[at] = last;
    return top;
  }
}

/** The pairs of ids that are merged, and the results. */
export interface Merges {
  /** The rank of a pair: smaller means learnt earlier. */
  readonly ranks: PairTable;
  /** The merged id for each rank. */
  readonly merged: Int32Array;
}
