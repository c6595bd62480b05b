/** A machine's memory for one text: where an instruction was tried, and the outcome. */

import { op, UNBOUNDED } from "./program.ts";
import { ENTRY, entry, type Stack } from "./stack.ts";

/** Maximum bits for one text; what does not fit is tried again. */
const MAX_BYTES = 16 * 2 ** 20;

/** Per instruction, the positions of a text from which the rest of the pattern failed, or succeeded. */
export class Memory {
  readonly #bytes: number;
  readonly #failed: (Uint32Array | undefined)[] = [];
  readonly #succeeded: (Uint32Array | undefined)[] = [];
  #used = 0;

  /** @param length of the text, in UTF-16 units */
  constructor(length: number) {
    this.#bytes = 4 * ((length >>> 5) + 1);
  }

  failed(instruction: number, position: number): boolean {
    return has(this.#failed[instruction], position);
  }

  succeeded(instruction: number, position: number): boolean {
    return has(this.#succeeded[instruction], position);
  }

  /** Notes a failure from all positions from the first to the last. */
  fail(instruction: number, first: number, last: number): void {
    add(this.#bitsOf(this.#failed, instruction), first, last);
  }

  succeed(instruction: number, first: number, last: number): void {
    add(this.#bitsOf(this.#succeeded, instruction), first, last);
  }

  #bitsOf(table: (Uint32Array | undefined)[], instruction: number): Uint32Array | undefined {
    const bits = table[instruction];
    if (bits || this.#used + this.#bytes > MAX_BYTES) return bits;
    this.#used += this.#bytes;
    const made = new Uint32Array(this.#bytes / 4);
    table[instruction] = made;
    return made;
  }
}

function has(bits: Uint32Array | undefined, position: number): boolean {
  return bits !== undefined && (((bits[position >>> 5] as number) >>> (position & 31)) & 1) === 1;
}

function add(bits: Uint32Array | undefined, first: number, last: number): void {
  if (!bits) return;
  for (let position = first; position <= last; position++) {
    bits[position >>> 5] = (bits[position >>> 5] as number) | (1 << (position & 31));
  }
}

/**
 * Notes the success of a look-ahead whose body has matched: its entries on the stack are the path to it.
 * @param base start of its part of the stack
 */
export function noteSuccess(memory: Memory, { cells, top }: Stack, base: number, code: Int32Array): void {
  for (let at = base; at < top; at += ENTRY) {
    if (cells[at] !== entry.exhausted) continue;
    const pc = cells[at + 1] as number;
    const first = cells[at + 2] as number;
    const above = at + ENTRY;
    const isShorter = above < top && cells[above] === entry.shorter && cells[above + 1] === pc;
    // A run without bound is noted by position, up to where it ended; any other by where it began.
    const isRun = code[pc] === op.run && code[pc + 3] === UNBOUNDED;
    const last = !isRun ? (cells[at + 3] as number) : isShorter ? (cells[above + 3] as number) : first;
    memory.succeed(pc, first, last);
  }
}
