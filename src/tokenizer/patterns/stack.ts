/** The choices that a machine can return to. */

/** The kinds of entries; each has an address in the code or a register, and two numbers. */
export const entry = {
  /** Continue at [target, position]. */
  branch: 0,
  /** For [a run, the least position, this position]: continue one character earlier. */
  shorter: 1,
  /** For [a lazy run, this position, characters so far]: continue one character later. */
  longer: 2,
  /** Restore [register, value]. */
  restore: 3,
  /** All attempts of [an instruction, from the first position, to the last] failed. */
  exhausted: 4,
} as const;

/** Numbers per entry. */
export const ENTRY = 4;
const FIRST = ENTRY * 256;
const MOST = ENTRY * 2 ** 22;

export class Stack {
  /** The entries, each as its kind and its three numbers. */
  cells = new Int32Array(FIRST);
  /** Where the next entry begins. */
  top = 0;

  /** @returns false if there is no room for more */
  push(kind: number, which: number, one: number, two: number): boolean {
    const { top } = this;
    if (top === this.cells.length && !this.#grow()) return false;
    const { cells } = this;
    cells[top] = kind;
    cells[top + 1] = which;
    cells[top + 2] = one;
    cells[top + 3] = two;
    this.top = top + ENTRY;
    return true;
  }

  /** Empties it, and frees the memory of a long text. */
  clear(): void {
    this.top = 0;
    if (this.cells.length > FIRST) this.cells = new Int32Array(FIRST);
  }

  #grow(): boolean {
    if (this.cells.length >= MOST) return false;
    const larger = new Int32Array(2 * this.cells.length);
    larger.set(this.cells);
    this.cells = larger;
    return true;
  }
}
