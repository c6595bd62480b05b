/** A hash table from pairs of small numbers to a number, in one typed array: merges of a BPE, edges of a trie. */

const EMPTY = -1;

/** Open addressing with linear probing; at most half full. */
export class PairTable {
  #mask: number;
  /** Left, right and value of each slot. Left is EMPTY if the slot is free. */
  #slots: Int32Array;
  #count = 0;

  /** @param expected number of pairs expected; more make the table grow */
  constructor(expected: number) {
    const capacity = 2 ** Math.ceil(Math.log2(Math.max(8, expected * 2)));
    this.#mask = capacity - 1;
    this.#slots = new Int32Array(capacity * 3).fill(EMPTY);
  }

  /** The value of a pair; -1 if it has none. Left and right are from 0 to 2^31 - 1. */
  get(left: number, right: number): number {
    const slot = this.#find(left, right);
    return this.#slots[slot] === EMPTY ? -1 : (this.#slots[slot + 2] as number);
  }

  set(left: number, right: number, value: number): void {
    let slot = this.#find(left, right);
    if (this.#slots[slot] === EMPTY) {
      if ((this.#count + 1) * 2 > this.#mask) {
        this.#grow();
        slot = this.#find(left, right);
      }
      this.#count++;
    }
    this.#slots[slot] = left;
    this.#slots[slot + 1] = right;
    this.#slots[slot + 2] = value;
  }

  /** The slot of the pair, or the one where it would be put. */
  #find(left: number, right: number): number {
    const slots = this.#slots;
    let at = Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b);
    at = (at ^ (at >>> 15)) & this.#mask;
    for (;;) {
      const slot = at * 3;
      if (slots[slot] === EMPTY || (slots[slot] === left && slots[slot + 1] === right)) return slot;
      at = (at + 1) & this.#mask;
    }
  }

  #grow(): void {
    const old = this.#slots;
    this.#mask = this.#mask * 2 + 1;
    this.#slots = new Int32Array((this.#mask + 1) * 3).fill(EMPTY);
    this.#count = 0;
    for (let slot = 0; slot < old.length; slot += 3) {
      if (old[slot] !== EMPTY) this.set(old[slot] as number, old[slot + 1] as number, old[slot + 2] as number);
    }
  }
}
