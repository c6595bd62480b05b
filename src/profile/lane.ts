/** One prompt's prefill and decode steps, run as often as wanted, with or without a clock on every dispatch. */
import type { StepRows } from "../kernels/step.ts";
import type { Run } from "../runtime/run.ts";
import type { Sequences } from "../runtime/sequences.ts";
import type { TimedDispatch, TimestampObserver } from "./timestamps.ts";

export type Phase = "prefill" | "decode";

export interface PhasedDispatch extends TimedDispatch {
  readonly phase: Phase;
  readonly step: number;
}

/** The same prefill and decode again and again, step by step. */
export class ProfiledLane {
  readonly #sequences: Sequences;
  readonly #tokens: readonly number[];
  readonly #newTokens: number;
  readonly #signal: AbortSignal | undefined;

  constructor(sequences: Sequences, tokens: readonly number[], newTokens: number, signal: AbortSignal | undefined) {
    this.#sequences = sequences;
    this.#tokens = tokens;
    this.#newTokens = newTokens;
    this.#signal = signal;
  }

  get mostDispatches(): number {
    const { body, finalNorm, head, tails } = this.#sequences.plan;
    return body.length + finalNorm.length + head.length + tails.greedy.length;
  }

  async run(
    observer: TimestampObserver | undefined,
  ): Promise<{ readonly timed: readonly PhasedDispatch[]; readonly wall: Record<Phase, number> }> {
    const sequences = this.#sequences;
    const timed: PhasedDispatch[] = [];
    const wall: Record<Phase, number> = { prefill: 0, decode: 0 };
    sequences.slots.truncate(0, 0);
    sequences.beginPrompt(0, this.#tokens.length);
    const execute = async (phase: Phase, step: number, rows: StepRows): Promise<void> => {
      sequences.sync([0]);
      const started = performance.now();
      const run: Run = {
        steps: [rows],
        head: "logits",
        tail: "greedy",
        reads: [{ role: { role: "tokens" }, offset: 0, byteLength: 4 }],
        signal: this.#signal,
        ...(observer && { observer }),
      };
      await sequences.executor.run(run);
      wall[phase] += performance.now() - started;
      if (observer) timed.push(...(await observer.take()).map((each) => ({ ...each, phase, step })));
    };
    let step = 0;
    for (const rows of sequences.stepsFor({ sequence: 0, tokens: this.#tokens, outs: "last" })) {
      await execute("prefill", step++, rows);
    }
    for (let i = 0; i < this.#newTokens; i++) await execute("decode", i, sequences.nextStep([0]));
    return { timed, wall };
  }
}
