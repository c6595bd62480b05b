/** One prompt's prefill and decode steps, repeatable, with or without clocks. */

import { inOrder } from "../kernels/kernel.ts";
import type { StepRows } from "../kernels/step.ts";
import type { Run } from "../runtime/run.ts";
import type { Sequences } from "../runtime/sequences.ts";
import type { Tokenizer } from "../tokenizer/tokenizer.ts";
import type { DispatchClock, TimedDispatch } from "./dispatch-clock.ts";
import { HostRecorder, type RecordedSpan } from "./host-recorder.ts";
import type { Phase } from "./profile-result.ts";

export interface PhasedDispatch extends TimedDispatch {
  readonly phase: Phase;
  readonly step: number;
}

/** A span with the phase it belongs to, and the number of its step there. */
export interface PhasedSpan extends RecordedSpan {
  readonly phase: Phase;
}

export interface LaneRun {
  /** Empty without a clock. */
  readonly timed: readonly PhasedDispatch[];
  /** Empty without a recorder. */
  readonly spans: readonly PhasedSpan[];
  /** `performance.now()` at the beginning. */
  readonly began: number;
  /** Milliseconds of each phase, including reading the clock. */
  readonly wall: Readonly<Record<Phase, number>>;
}

export interface LaneOptions {
  /** Decodes ids to text as they come, as for a caller that shows them. */
  readonly tokenizer?: Tokenizer | null;
  readonly signal?: AbortSignal | undefined;
}

/** Repeats the same prefill and decode, one step per submit. */
export class ProfiledLane {
  readonly #sequences: Sequences;
  readonly #tokens: readonly number[];
  readonly #newTokens: number;
  readonly #options: LaneOptions;

  constructor(sequences: Sequences, tokens: readonly number[], newTokens: number, options: LaneOptions) {
    this.#sequences = sequences;
    this.#tokens = tokens;
    this.#newTokens = newTokens;
    this.#options = options;
  }

  /** Of one step. */
  get mostDispatches(): number {
    const { body, finalNorm, head, tails } = this.#sequences.plan;
    return [...body, ...finalNorm, ...head, ...tails.greedy].reduce(
      (sum, { candidates }) => sum + Math.max(...candidates.map(({ kernel }) => inOrder(kernel).length)),
      0,
    );
  }

  /** A recorder that is large enough for a run. */
  recorder(): HostRecorder {
    const steps = Math.ceil(this.#tokens.length / this.#sequences.plan.chunkRows) + this.#newTokens;
    // At most, each dispatch has its own submit, which is encoded, submitted and awaited; then text and stamps.
    return new HostRecorder(steps * (3 * this.mostDispatches + 2));
  }

  async run(
    watched: { readonly clock?: DispatchClock | undefined; readonly host?: HostRecorder } = {},
  ): Promise<LaneRun> {
    const { clock, host } = watched;
    const { tokenizer, signal } = this.#options;
    const sequences = this.#sequences;
    const timed: PhasedDispatch[] = [];
    const text = tokenizer?.stream({ context: this.#tokens });
    const execute = async (phase: Phase, step: number, rows: StepRows): Promise<void> => {
      sequences.sync([0]);
      const [out] = rows.outs;
      const run: Run = {
        steps: [rows],
        head: "logits",
        tail: "greedy",
        reads: [{ role: { role: "tokens" }, offset: (out?.token_index ?? 0) * 4, byteLength: 4 }],
        signal,
        ...(clock && { observer: clock }),
        ...(host && { host }),
      };
      const [bytes] = await sequences.executor.run(run);
      if (text && out && bytes) {
        host?.enter("text");
        text.push(new Uint32Array(bytes)[0] as number);
        host?.leave();
      }
      if (!clock) return;
      host?.enter("stamps");
      const taken = await clock.take();
      host?.leave();
      for (const each of taken) timed.push({ ...each, phase, step });
    };
    sequences.slots.truncate(0, 0);
    sequences.beginPrompt(0, this.#tokens.length);
    let ordinal = 0;
    const begin = (): void => {
      if (host) host.step = ordinal;
      ordinal++;
    };
    const began = performance.now();
    for (const rows of sequences.stepsFor({ sequence: 0, tokens: this.#tokens, outs: "last" })) {
      begin();
      await execute("prefill", ordinal - 1, rows);
    }
    const prefilled = performance.now();
    const prefillSteps = ordinal;
    for (let i = 0; i < this.#newTokens; i++) {
      begin();
      await execute("decode", i, sequences.nextSteps([0])[0] as StepRows);
    }
    const ended = performance.now();
    const phased = (span: RecordedSpan): PhasedSpan =>
      span.step < prefillSteps
        ? { ...span, phase: "prefill" }
        : { ...span, phase: "decode", step: span.step - prefillSteps };
    return {
      timed,
      spans: host?.take().map(phased) ?? [],
      began,
      wall: { prefill: prefilled - began, decode: ended - prefilled },
    };
  }
}
