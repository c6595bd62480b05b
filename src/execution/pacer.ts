/**
 * Keeps submits short. Windows resets a GPU that works for 2 s on one submit, pages stall after long ones, and
 * an abort can only act between two; so work is cut when its estimated time passes a bound.
 */
import { IN_BROWSER } from "../gpu/host.ts";
import type { Cost, KernelFamily } from "../kernels/kernel.ts";

/**
 * Estimated milliseconds after which a submit is closed. A browser draws on the same GPU, and many cannot interrupt a
 * submit for it: two frames of its are as long as one may be there.
 */
const SUBMIT_BUDGET_MS = IN_BROWSER ? 32 : 100;

/** Estimated milliseconds of a run of decode steps: ids come in runs, and an abort throws away up to two. */
export const DECODE_RUN_MS = 100;

/** The same while nothing was measured: the first guess may be wrong by a factor of 20 on the slowest GPUs. */
const UNMEASURED_BUDGET_MS = 20;

/** First guesses a device starts from, in units a millisecond; measurements replace them within a few submits. */
const FIRST_GUESS: Readonly<
  Record<KernelFamily, { readonly flops: number; readonly bytes: number; readonly dispatchMs: number }>
> = {
  register: { flops: 1.5e6, bytes: 1.2e6, dispatchMs: 0.03 },
  tiled: { flops: 5e8, bytes: 5e7, dispatchMs: 0.005 },
};

/** Estimates how long work takes, and learns from how long it took. */
export interface Pace {
  /** Estimated milliseconds after which a submit is closed: aborts act between submits, and long ones reset some GPUs. */
  readonly budgetMs: number;
  /** Milliseconds that a dispatch of this cost is expected to take. */
  estimate(cost: Cost): number;
  observe(estimatedMs: number, measuredMs: number): void;
}

export class Pacer implements Pace {
  readonly #guess: (typeof FIRST_GUESS)[KernelFamily];
  /** Measured over estimated time, smoothed. */
  #factor = 1;
  #isMeasured = false;

  constructor(family: KernelFamily) {
    this.#guess = FIRST_GUESS[family];
  }

  /** Estimated milliseconds after which a submit is to be closed. */
  get budgetMs(): number {
    return this.#isMeasured ? SUBMIT_BUDGET_MS : UNMEASURED_BUDGET_MS;
  }

  /** Milliseconds a dispatch of this cost is expected to take. */
  estimate(cost: Cost): number {
    const { flops, bytes, dispatchMs } = this.#guess;
    return this.#factor * (Math.max(cost.flops / flops, cost.bytes / bytes) + dispatchMs);
  }

  /** Learns from work that was estimated to take `estimatedMs` and took `measuredMs`. */
  observe(estimatedMs: number, measuredMs: number): void {
    if (estimatedMs <= 0 || measuredMs <= 0) return;
    const ratio = Math.min(Math.max(measuredMs / estimatedMs, 0.25), 4);
    this.#factor *= Math.sqrt(ratio);
    this.#isMeasured = true;
  }
}
