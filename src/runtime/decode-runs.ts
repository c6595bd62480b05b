/**
 * Decode steps in runs, each of several steps and one readback of their ids. While the host reads a run, the device has the
 * next one already: what it waits for is neither the host's encoding nor its callers. A run ahead is thrown away if it
 * turns out to be of no use: every sequence has ended, or a stage was changed, which acts from the next run on.
 */
import type { Plan } from "../compile/plan.ts";
import { DECODE_RUN_MS } from "../execution/pacer.ts";
import type { StepRows } from "../kernels/step.ts";
import { MAX_STEPS_PER_RUN } from "./executor.ts";
import type { StageNotice } from "./live-stages.ts";
import type { Read } from "./run.ts";
import {
  type DrawingTail,
  type DrawnLogprobs,
  logprobsRead,
  readLogprobs,
  setDrawn,
  tailFor,
} from "./sampler-state.ts";
import type { SettledSampling } from "./sampling.ts";
import type { Sequences } from "./sequences.ts";

/** Maximum at once: the one read next, the one after it, and one that was dropped before it was done. */
export const RUNS_UNDER_WAY = 3;

/** A sequence on its way. */
export interface Continued {
  readonly sequence: number;
  readonly promptLength: number;
  /** New tokens at most. */
  readonly budget: number;
  /** The prompt, and the new tokens that the caller has seen. */
  readonly tokens: number[];
  /** Changes that act from the next token on. */
  changes: readonly StageNotice[];
}

/** Where a run begins. */
interface Beginning {
  readonly running: readonly Continued[];
  /** Cached length of each. */
  readonly lengths: readonly number[];
}

/** A run that was handed to the device. */
export interface DecodeRun extends Beginning {
  readonly beginning: Beginning;
  /** New ids of each, in order. */
  bytes(): Promise<readonly ArrayBuffer[]>;
  /** Whether it is short enough for another one after it: an abort waits for both. */
  readonly isShort: boolean;
}

/** What a run drew for one sequence, in order. */
export interface Drawn {
  readonly ids: Uint32Array;
  /** One per id, if they are wanted. */
  readonly logprobs: readonly DrawnLogprobs[] | undefined;
}

export class DecodeRuns {
  readonly #sequences: Sequences;
  readonly #sampling: SettledSampling;
  readonly #tail: DrawingTail;
  readonly #signal: AbortSignal | undefined;
  /** Of runs that are not known to have run, oldest first. */
  readonly #open: Beginning[] = [];

  constructor(sequences: Sequences, sampling: SettledSampling, signal: AbortSignal | undefined) {
    this.#sequences = sequences;
    this.#sampling = sampling;
    this.#tail = tailFor(sampling);
    this.#signal = signal;
  }

  /** Begins a run of sequences that are not in a run. */
  async begin(running: readonly Continued[]): Promise<DecodeRun> {
    const names = running.map(({ sequence }) => sequence);
    // From the last look on nothing waits until the run is submitted, so that no change comes between.
    while (names.some((sequence) => this.#sequences.isOutdated(sequence))) {
      await this.#sequences.refresh(names, this.#signal);
    }
    for (const continued of running) {
      continued.changes = this.#sequences.stages?.takeNotices(continued.sequence) ?? [];
    }
    return this.#submit(running);
  }

  /**
   * Begins the run that follows a run under way.
   * @param active those of its sequences that have not ended
   * @returns undefined if it must wait: for what callers make of the first one, or because that is long already
   */
  async beginBehind({ isShort }: DecodeRun, active: readonly Continued[]): Promise<DecodeRun | undefined> {
    // What may come next is known when this run's token is.
    if (this.#sampling.grammar) return undefined;
    const further = active.filter((continued) => this.#left(continued) > 0);
    if (!isShort || further.length === 0 || this.areChanged(further)) return undefined;
    return this.#submit(further);
  }

  /** What it drew for each of its sequences. @throws SluiceError whatever running it threw */
  async read({ bytes, beginning, running }: DecodeRun): Promise<readonly Drawn[]> {
    const list = await bytes();
    // What was begun before it has run, too.
    this.#open.splice(0, this.#open.indexOf(beginning) + 1);
    return running.map((_, i) => {
      const records = list[running.length + i];
      return {
        ids: new Uint32Array(list[i] as ArrayBuffer),
        logprobs: records && readLogprobs(records, this.#sampling),
      };
    });
  }

  /** Whether stages were changed since these last began a run. */
  areChanged(list: readonly Continued[]): boolean {
    const { stages } = this.#sequences;
    return list.some(({ sequence }) => this.#sequences.isOutdated(sequence) || stages?.hasNotices(sequence));
  }

  /** Drops what a run computed for a sequence after the tokens that its caller has seen. */
  rewind({ sequence, tokens, promptLength }: Continued): void {
    this.#sequences.slots.truncate(sequence, tokens.length - 1);
    if (this.#tail !== "greedy") setDrawn(this.#sequences, sequence, tokens, this.#sampling, promptLength);
  }

  /** Keeps keys and values of tokens that the caller has seen, as far as the runs that made them are known to have run. */
  settle({ sequence, tokens }: Continued): void {
    const unknown = this.#open.flatMap(({ running, lengths }) => {
      const i = running.findIndex((continued) => continued.sequence === sequence);
      return i < 0 ? [] : [lengths[i] as number];
    });
    this.#sequences.slots.truncate(sequence, Math.min(tokens.length, ...unknown));
  }

  /** New tokens that are neither there nor under way. */
  #left({ sequence, promptLength, budget }: Continued): number {
    return budget - (this.#sequences.slots.lengthOf(sequence) - promptLength + 1);
  }

  async #submit(running: readonly Continued[]): Promise<DecodeRun> {
    const { plan, executor, slots } = this.#sequences;
    const names = running.map(({ sequence }) => sequence);
    const beginning: Beginning = { running, lengths: names.map((sequence) => slots.lengthOf(sequence)) };
    this.#open.push(beginning);
    const most = Math.max(...running.map((continued) => this.#left(continued)));
    const steps: StepRows[] = [];
    let [rounds, wanted, perRound] = [0, 1, 0];
    for (; rounds < wanted; rounds++) {
      const alive = names.filter((sequence) => slots.lengthOf(sequence) < plan.capacity);
      if (alive.length === 0) break;
      const round = this.#sequences.nextSteps(alive);
      steps.push(...round);
      if (rounds > 0) continue;
      perRound = round.reduce((sum, step) => sum + executor.estimateStep(step, "logits", this.#tail), 0);
      const fitting = this.#sampling.grammar ? 1 : Math.floor(DECODE_RUN_MS / perRound);
      wanted = Math.max(1, Math.min(most, Math.floor(MAX_STEPS_PER_RUN / round.length), fitting));
    }
    this.#sequences.sync(names);
    const drawn = names.map((sequence, i) => {
      const length = beginning.lengths[i] as number;
      return { index: this.#sequences.tokenIndex(sequence, length + 1), count: slots.lengthOf(sequence) - length };
    });
    const ids = drawn.map(({ index, count }): Read => {
      return { role: { role: "tokens" }, offset: index * 4, byteLength: count * 4 };
    });
    const records = this.#tail === "scored" ? drawn.map(({ index, count }) => logprobsRead(index, count)) : [];
    const reads = [...ids, ...records];
    const extent = { head: "logits", tail: this.#tail, signal: this.#signal } as const;
    // A round of very many sequences.
    while (steps.length > MAX_STEPS_PER_RUN) {
      await executor.submit({ steps: steps.splice(0, MAX_STEPS_PER_RUN), reads: [], ...extent });
    }
    const { bytes } = await executor.submit({ steps, reads, ...extent });
    return { ...beginning, beginning, bytes, isShort: perRound <= DECODE_RUN_MS };
  }
}

/** Numbers of rows up to `most` that between them use every kernel that this many rows can use. */
export function rowsOfEveryKernel(plans: readonly Plan[], most: number): readonly number[] {
  const limits = plans.flatMap(({ body, head }) =>
    [...body, ...head].flatMap(({ candidates }) => candidates.map(({ maxRows }) => maxRows)),
  );
  return [...new Set([...limits.filter((rows) => rows < most), most])];
}
