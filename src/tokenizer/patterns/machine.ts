/**
 * Runs compiled patterns: backtracking with its own stack, so that neither the text nor the pattern can exhaust
 * the host's.
 *
 * Backtracking alone can take exponential time. When it has taken more steps than a text of that length should, the
 * machine begins to remember at which position which instruction failed, for all searches in the text, and tries
 * nothing twice; from then on time is linear in the length of the text for almost all patterns. (The instructions of a
 * look-behind are not remembered, because their outcome depends on where they have to end.) What still takes too long
 * ends in an error.
 */
import { show } from "../../show.ts";
import type { Effort } from "./effort.ts";
import { Memory, noteSuccess } from "./memory.ts";
import type { Assertion } from "./node.ts";
import { assertions, op, type Program, UNBOUNDED } from "./program.ts";
import { ENTRY, entry, Stack } from "./stack.ts";
import { Subject } from "./subject.ts";

/** Steps per UTF-16 unit, and for any text, after which to remember. */
const PATIENCE = 16;
const BASE_PATIENCE = 4096;

/** Outcomes of an instruction other than a position, which is 0 or more. */
const FAILED = -1;
/** It is known that the rest of a look-ahead's body matches. */
const SUCCEEDED = -2;

export class Machine {
  /** Begin and end of the match that `search` found. */
  start = 0;
  end = 0;

  readonly #program: Program;
  readonly #what: () => string;
  readonly #stack = new Stack();
  readonly #registers: Int32Array;
  #subject: Subject;
  #steps = 0;
  #limit = 0;
  #effort: Effort | undefined;
  #memory: Memory | undefined;
  /** Number of look-behinds being tried. */
  #behind = 0;

  constructor(program: Program) {
    this.#program = program;
    this.#what = () => `the pattern ${show(program.source)}`;
    this.#registers = new Int32Array(program.registers);
    this.#subject = new Subject("", program);
  }

  open(text: string, effort: Effort): void {
    this.#subject = new Subject(text, this.#program);
    this.#effort = effort;
    this.#memory = undefined;
    this.#steps = 0;
    this.#limit = BASE_PATIENCE + PATIENCE * text.length;
  }

  /** Forgets the text, and charges its steps. */
  close(): void {
    this.#charge();
    this.#memory = undefined;
    this.#subject = new Subject("", this.#program);
    this.#stack.clear();
  }

  /** Whether there is a match at or after a position; `start` and `end` say where. */
  search(from: number): boolean {
    const { first } = this.#program;
    const { text } = this.#subject;
    this.#subject.searchStart = from;
    for (let at = from; at <= text.length; at++) {
      const code = text.codePointAt(at);
      if (!first || (code !== undefined && first.has(code))) {
        this.#registers[0] = -1;
        this.#stack.top = 0;
        this.#behind = 0;
        const end = this.#run(0, at, -1);
        if (end >= 0) {
          const kept = this.#registers[0];
          this.start = kept < 0 ? at : kept;
          this.end = end;
          return true;
        }
      }
      if (++this.#steps > this.#limit) this.#overrun();
      if (code !== undefined && code > 0xffff) at++;
    }
    return false;
  }

  /**
   * Tries the code from an address on.
   * @param target where the match has to end; -1: anywhere
   * @returns where it ends, or FAILED
   */
  #run(place: number, from: number, target: number): number {
    const { code } = this.#program;
    const subject = this.#subject;
    const { text } = subject;
    const stack = this.#stack;
    const base = stack.top;
    let pc = place;
    let at = from;
    for (;;) {
      if (++this.#steps > this.#limit) this.#overrun();
      const one = code[pc + 1] as number;
      const two = code[pc + 2] as number;
      let outcome = at;
      switch (code[pc]) {
        case op.accept:
          if (target < 0 || at === target) return at;
          outcome = FAILED;
          break;
        case op.char:
          outcome = text.codePointAt(at) !== one ? FAILED : one > 0xffff ? at + 2 : at + 1;
          pc += 2;
          break;
        case op.set: {
          const width = subject.width(one, at);
          outcome = width === 0 ? FAILED : at + width;
          pc += 2;
          break;
        }
        case op.jump:
          pc = one;
          break;
        case op.fork:
          outcome = this.#fork(pc, at, one);
          pc += 2;
          break;
        case op.forkOnChar:
          if (text.codePointAt(at) === two) {
            outcome = this.#fork(pc, at, one);
            pc += 3;
          } else pc = one;
          break;
        case op.forkOnSet:
          if (subject.width(two, at) > 0) {
            outcome = this.#fork(pc, at, one);
            pc += 3;
          } else pc = one;
          break;
        case op.forkLazy:
          outcome = this.#fork(pc, at, pc + 2);
          pc = one;
          break;
        case op.run:
        case op.runPossessive:
          outcome = this.#take(pc, at);
          pc += 5;
          break;
        case op.runLazy:
          outcome = this.#takeLeast(pc, at);
          pc += 5;
          break;
        case op.atomic:
          outcome = this.#recall(pc, at);
          if (outcome >= 0) outcome = this.#once(pc + 2, at);
          pc = one;
          break;
        case op.ahead:
          if (this.#matchesAhead(pc + 3, at) === (two === 1)) outcome = FAILED;
          pc = one;
          break;
        case op.behind:
          if (this.#matchesBehind(pc, at) === (two === 1)) outcome = FAILED;
          pc = one;
          break;
        case op.aheadSet:
          if (subject.width(one, at) > 0 === (two === 1)) outcome = FAILED;
          pc += 3;
          break;
        case op.behindSet:
          if (subject.hasBefore(one, at) === (two === 1)) outcome = FAILED;
          pc += 3;
          break;
        case op.assert:
          if (!subject.holds(assertions[one] as Assertion, at)) outcome = FAILED;
          pc += 2;
          break;
        case op.mark:
          this.#set(one, at);
          pc += 2;
          break;
        case op.exitIfStill:
          pc = this.#registers[one] === at ? two : pc + 3;
          break;
      }
      // Back to the last choice with something left to try.
      while (outcome === FAILED) {
        if (stack.top === base) return FAILED;
        stack.top -= ENTRY;
        const { cells, top } = stack;
        const which = cells[top + 1] as number;
        const low = cells[top + 2] as number;
        const high = cells[top + 3] as number;
        switch (cells[top]) {
          case entry.branch:
            pc = which;
            outcome = low;
            break;
          case entry.shorter:
            pc = which + 5;
            outcome = this.#takeLess(which, low, high);
            break;
          case entry.longer:
            pc = which + 5;
            outcome = this.#takeMore(which, low, high);
            break;
          case entry.restore:
            this.#registers[which] = low;
            break;
          case entry.exhausted:
            this.#memory?.fail(which, low, high);
            break;
        }
      }
      if (outcome === SUCCEEDED) return from;
      at = outcome;
    }
  }

  /** Continues after the instruction, and at the target if that fails. */
  #fork(pc: number, at: number, target: number): number {
    if (this.#memory) {
      const known = this.#recall(pc, at);
      if (known < 0) return known;
    }
    this.#push(entry.branch, target, at, 0);
    return at;
  }

  /** The remembered outcome of an instruction at a position. If there is none: the position, and a failure will be noted. */
  #recall(pc: number, at: number): number {
    const memory = this.#memory;
    if (!memory || this.#behind > 0) return at;
    if (memory.failed(pc, at)) return FAILED;
    if (memory.succeeded(pc, at)) return SUCCEEDED;
    this.#push(entry.exhausted, pc, at, at);
    return at;
  }

  /** The run at an address: takes as many characters as it may. */
  #take(pc: number, at: number): number {
    const { code } = this.#program;
    const set = code[pc + 1] as number;
    const min = code[pc + 2] as number;
    const max = code[pc + 3] as number;
    const possessive = code[pc] === op.runPossessive;
    let memory = this.#behind > 0 ? undefined : this.#memory;
    if (memory && max !== UNBOUNDED) {
      const known = this.#recall(pc, at);
      if (known < 0) return known;
      memory = undefined;
    }
    let end = at;
    let least = at;
    let count = 0;
    for (; ; count++) {
      if (count === min) least = end;
      // What a run without bound can still do depends on its position alone, once it has what it must have.
      if (memory && count >= min) {
        if (memory.succeeded(pc, end)) return SUCCEEDED;
        if (memory.failed(pc, end)) {
          if (end === least) return FAILED;
          if (possessive) {
            memory.fail(pc, least, end);
            return FAILED;
          }
          end = this.#subject.back(end);
          break;
        }
      }
      if (count === max) break;
      const width = this.#subject.width(set, end);
      if (width === 0) break;
      end += width;
    }
    this.#steps += count;
    if (count < min) return FAILED;
    if (memory) this.#push(entry.exhausted, pc, least, end);
    if (end > least && !possessive) this.#push(entry.shorter, pc, least, end);
    return end;
  }

  /** The run takes one character less than before, or as many less as the code after it needs. */
  #takeLess(pc: number, least: number, had: number): number {
    const peek = this.#program.code[pc + 4] as number;
    for (let at = had; at > least; ) {
      at = this.#subject.back(at);
      this.#steps++;
      if (peek >= 0 && this.#subject.width(peek, at) === 0) continue;
      if (at > least) this.#push(entry.shorter, pc, least, at);
      return at;
    }
    return FAILED;
  }

  /** The lazy run at an address: takes its minimum. */
  #takeLeast(pc: number, at: number): number {
    const { code } = this.#program;
    const set = code[pc + 1] as number;
    const min = code[pc + 2] as number;
    let end = at;
    for (let count = 0; count < min; count++) {
      const width = this.#subject.width(set, end);
      if (width === 0) return FAILED;
      end += width;
    }
    this.#steps += min;
    return this.#offer(pc, end, min);
  }

  /** The lazy run takes one character more. */
  #takeMore(pc: number, at: number, count: number): number {
    const { code } = this.#program;
    const width = count === code[pc + 3] ? 0 : this.#subject.width(code[pc + 1] as number, at);
    return width === 0 ? FAILED : this.#offer(pc, at + width, count + 1);
  }

  /** Starts the code after a lazy run at a position, or at the next possible one. */
  #offer(pc: number, at: number, count: number): number {
    const { code } = this.#program;
    const max = code[pc + 3] as number;
    const peek = code[pc + 4] as number;
    let end = at;
    for (let taken = count; ; taken++) {
      if (max === UNBOUNDED) {
        const known = this.#recall(pc, end);
        if (known < 0) return known;
      }
      if (peek < 0 || this.#subject.width(peek, end) > 0) {
        this.#push(entry.longer, pc, end, taken);
        return end;
      }
      const width = taken === max ? 0 : this.#subject.width(code[pc + 1] as number, end);
      if (width === 0) return FAILED;
      if (++this.#steps > this.#limit) this.#overrun();
      end += width;
    }
  }

  /** The body at an address, in the first way in which it matches. */
  #once(place: number, at: number): number {
    const top = this.#stack.top;
    const kept = this.#registers[0] as number;
    const end = this.#run(place, at, -1);
    this.#stack.top = top;
    if (end >= 0 && this.#registers[0] !== kept) this.#push(entry.restore, 0, kept, 0);
    return end;
  }

  #matchesAhead(place: number, at: number): boolean {
    const base = this.#stack.top;
    const matches = this.#run(place, at, -1) >= 0;
    if (matches && this.#memory && this.#behind === 0) noteSuccess(this.#memory, this.#stack, base, this.#program.code);
    this.#stack.top = base;
    return matches;
  }

  #matchesBehind(pc: number, at: number): boolean {
    const [min = 0, max = 0] = this.#program.code.subarray(pc + 3, pc + 5);
    const base = this.#stack.top;
    let [start, matches] = [at, false];
    this.#behind++;
    for (let count = 0; count <= max; count++) {
      if (count >= min) {
        matches = this.#run(pc + 5, start, at) >= 0;
        this.#stack.top = base;
      }
      if (matches || start === 0) break;
      start = this.#subject.back(start);
    }
    this.#behind--;
    return matches;
  }

  #set(register: number, value: number): void {
    this.#push(entry.restore, register, this.#registers[register] as number, 0);
    this.#registers[register] = value;
  }

  #push(kind: number, which: number, one: number, two: number): void {
    if (!this.#stack.push(kind, which, one, two)) this.#effort?.spend(Infinity, this.#what);
  }

  /** More steps were taken than a pattern without repeated attempts needs: remember from here on. */
  #overrun(): void {
    this.#charge();
    if (this.#program.rememberable) this.#memory ??= new Memory(this.#subject.text.length);
    this.#limit = BASE_PATIENCE + PATIENCE * this.#subject.text.length;
  }

  #charge(): void {
    this.#effort?.spend(this.#steps, this.#what, this.#memory !== undefined);
    this.#steps = 0;
  }
}
