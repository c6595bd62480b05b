/**
 * Which cache slot holds the key and value of which position of which sequence.
 *
 * Kernels reach the cache through this table, so sequences can fork, roll back and share a prefix without
 * moving a byte: only table entries and reference counts change.
 */
import { SluiceError } from "../errors.ts";

export class SlotTable {
  readonly sequences: number;
  /** Positions a sequence can hold; also the stride of the table. */
  readonly capacity: number;
  /** `[sequences, capacity]`: slot of each position. Entries beyond a sequence's length mean nothing. */
  readonly table: Uint32Array<ArrayBuffer>;
  readonly #lengths: Uint32Array;
  readonly #references: Uint32Array;
  /** Unused slots, taken from the end. */
  readonly #free: number[];
  /** Table range changed since the last `takeChanges`. */
  #changedFrom = 0;
  #changedTo = 0;

  constructor(sequences: number, capacity: number, slots = sequences * capacity) {
    this.sequences = sequences;
    this.capacity = capacity;
    this.table = new Uint32Array(sequences * capacity);
    this.#lengths = new Uint32Array(sequences);
    this.#references = new Uint32Array(slots);
    this.#free = Array.from({ length: slots }, (_, i) => slots - 1 - i);
    this.#changedFrom = this.table.length;
  }

  /** Slots there are, and how many hold something. */
  get usage(): { readonly slots: number; readonly used: number } {
    const { length } = this.#references;
    return { slots: length, used: length - this.#free.length };
  }

  /** Positions that the sequence holds. */
  lengthOf(sequence: number): number {
    return this.#lengths[this.#checked(sequence)] as number;
  }

  /**
   * Gives the sequence's next position a slot.
   * @throws SluiceError `context_overflow` when the sequence is full, or no slot is free
   */
  append(sequence: number): number {
    const length = this.lengthOf(sequence);
    if (length >= this.capacity) {
      throw new SluiceError(
        "context_overflow",
        `Sequence ${sequence} is full: its context holds ${this.capacity} tokens`,
        {
          hint: "Ask for a larger context, or start a shorter sequence.",
        },
      );
    }
    const slot = this.#free.pop();
    if (slot === undefined) {
      throw new SluiceError(
        "context_overflow",
        `The KV cache is full: all ${this.#references.length} slots are in use`,
        {
          hint: "End some sequences, or make the cache larger.",
        },
      );
    }
    this.#references[slot] = 1;
    this.#set(sequence, length, slot);
    this.#lengths[sequence] = length + 1;
    return slot;
  }

  /** Forgets positions from `length` on. */
  truncate(sequence: number, length: number): void {
    const before = this.lengthOf(sequence);
    for (let position = length; position < before; position++) this.#release(this.#at(sequence, position));
    this.#lengths[sequence] = Math.min(before, length);
  }

  /** Makes `to` a copy of `from`'s first `length` positions; they share slots until one of them rolls back. */
  fork(from: number, to: number, length = this.lengthOf(from)): void {
    if (from === to || length > this.lengthOf(from)) {
      throw new SluiceError("usage", `Cannot fork ${length} positions of sequence ${from} into sequence ${to}`);
    }
    this.truncate(to, 0);
    for (let position = 0; position < length; position++) {
      const slot = this.#at(from, position);
      this.#references[slot] = (this.#references[slot] as number) + 1;
      this.#set(to, position, slot);
    }
    this.#lengths[to] = length;
  }

  /** The range of table entries [from, to) changed since the last call; empty ranges have from >= to. */
  takeChanges(): { readonly from: number; readonly to: number } {
    const changes = { from: this.#changedFrom, to: this.#changedTo };
    this.#changedFrom = this.table.length;
    this.#changedTo = 0;
    return changes;
  }

  #at(sequence: number, position: number): number {
    return this.table[sequence * this.capacity + position] as number;
  }

  #set(sequence: number, position: number, slot: number): void {
    const index = sequence * this.capacity + position;
    this.table[index] = slot;
    this.#changedFrom = Math.min(this.#changedFrom, index);
    this.#changedTo = Math.max(this.#changedTo, index + 1);
  }

  #release(slot: number): void {
    const left = (this.#references[slot] as number) - 1;
    this.#references[slot] = left;
    if (left === 0) this.#free.push(slot);
  }

  #checked(sequence: number): number {
    if (!Number.isInteger(sequence) || sequence < 0 || sequence >= this.sequences) {
      throw new SluiceError("usage", `There is no sequence ${sequence}; this session has ${this.sequences}`);
    }
    return sequence;
  }
}
