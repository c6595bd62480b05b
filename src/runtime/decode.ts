/**
 * The decoding loop: prompts in, token ids out, for a batch of sequences at once.
 *
 * Sampled ids stay on the GPU and feed the next step there; the host encodes several steps per submit and reads
 * their ids together. Steps computed past a stop are discarded and their cache positions rolled back.
 */

import type { Tail } from "../compile/plan.ts";
import { SluiceError } from "../errors.ts";
import { packSettings } from "../kernels/sample.ts";
import type { StepRows } from "../kernels/step.ts";
import { MAX_STEPS_PER_RUN, type Read } from "./executor.ts";
import { SUBMIT_BUDGET_MS } from "./pacer.ts";
import { type SamplingOptions, seenBits } from "./sampling.ts";
import type { Session } from "./session.ts";

/** What a sampler writes in place of an id when it met logits that are not finite. */
const NOT_FINITE = 0xffffffff;

export interface DecodeOptions extends SamplingOptions {
  readonly maxNewTokens: number;
  /** Ids that end a sequence. */
  readonly stopTokens: ReadonlySet<number>;
  readonly signal?: AbortSignal | undefined;
}

/** Why a sequence ended: a stop token, `maxNewTokens`, or the end of its context. */
export type FinishReason = "stop" | "length" | "context";

/** A new token of a sequence; with `finish`, its last. */
export interface DecodedToken {
  readonly sequence: number;
  readonly token: number;
  readonly finish: FinishReason | undefined;
}

/**
 * Prefills each prompt into the sequence of its index and decodes until every sequence ended. Stop tokens end a
 * sequence and are reported as its last token. The caller ends a sequence early by adding it to `stopped`.
 * @throws SluiceError `non_finite`, and everything that running a step throws
 */
export async function* decode(
  session: Session,
  prompts: readonly (readonly number[])[],
  options: DecodeOptions,
  stopped: ReadonlySet<number> = new Set(),
): AsyncGenerator<DecodedToken> {
  const { plan, executor, slots } = session;
  const tail: Tail = isGreedy(options) ? "greedy" : "sample";
  if (tail === "sample") {
    executor.write({ role: "settings" }, 0, packSettings(prompts.map(() => options)));
    executor.write({ role: "seen" }, 0, seenBits(prompts, plan.seenWords));
  }
  const budget = prompts.map((prompt) => Math.min(options.maxNewTokens, plan.capacity + 1 - prompt.length));
  const generated = prompts.map(() => 0);
  let active: number[] = [];

  const accept = (sequence: number, token: number): DecodedToken => {
    if (token === NOT_FINITE) {
      const position = (prompts[sequence] as readonly number[]).length + (generated[sequence] as number);
      throw new SluiceError(
        "non_finite",
        `The logits for position ${position} of sequence ${sequence} are not finite`,
        {
          hint: "The weights may be damaged, or too large for the arithmetic; try --plan reference.",
        },
      );
    }
    const count = (generated[sequence] as number) + 1;
    generated[sequence] = count;
    if (options.stopTokens.has(token)) return { sequence, token, finish: "stop" };
    if (count < (budget[sequence] as number)) return { sequence, token, finish: undefined };
    return { sequence, token, finish: count < options.maxNewTokens ? "context" : "length" };
  };

  const feeds = prompts.map((tokens, sequence) => ({ sequence, tokens, outs: "last" as const }));
  const firstIds = (step: StepRows): readonly Read[] => step.outs.map((out) => idsRead(out.token_index, 1));
  for await (const { step, bytes } of session.feed(feeds, {
    head: "logits",
    tail,
    reads: firstIds,
    signal: options.signal,
  })) {
    for (const [i, { sequence }] of step.outs.entries()) {
      const decoded = accept(sequence, new Uint32Array(bytes[i] as ArrayBuffer)[0] as number);
      yield decoded;
      if (!decoded.finish) active.push(sequence);
    }
  }

  active = active.filter((sequence) => !stopped.has(sequence));
  while (active.length > 0) {
    const remaining = Math.max(
      ...active.map((sequence) => (budget[sequence] as number) - (generated[sequence] as number)),
    );
    const steps: StepRows[] = [];
    const begin = active.map((sequence) => slots.lengthOf(sequence));
    let stepsWanted = 1;
    while (steps.length < stepsWanted) {
      const alive = active.filter((sequence) => slots.lengthOf(sequence) < plan.capacity);
      if (alive.length === 0) break;
      steps.push(session.nextStep(alive));
      if (steps.length === 1) {
        const perStep = executor.estimateStep(steps[0] as StepRows, "logits", tail);
        stepsWanted = Math.max(1, Math.min(remaining, MAX_STEPS_PER_RUN, Math.floor(SUBMIT_BUDGET_MS / perStep)));
      }
    }
    session.syncSlots();
    const counts = active.map((sequence, i) => slots.lengthOf(sequence) - (begin[i] as number));
    const reads = active.map((sequence, i) =>
      idsRead(session.tokenIndex(sequence, (begin[i] as number) + 1), counts[i] as number),
    );
    const bytes = await executor.run({ steps, head: "logits", tail, reads, signal: options.signal });

    const ended = new Set<number>();
    for (let s = 0; s < steps.length; s++) {
      for (const [i, sequence] of active.entries()) {
        if (s >= (counts[i] as number) || ended.has(sequence) || stopped.has(sequence)) continue;
        const decoded = accept(sequence, new Uint32Array(bytes[i] as ArrayBuffer)[s] as number);
        yield decoded;
        if (decoded.finish) ended.add(sequence);
        // What was computed past this token is discarded; the token itself has no cache entry yet.
        if (decoded.finish || stopped.has(sequence)) slots.truncate(sequence, (begin[i] as number) + s + 1);
      }
    }
    active = active.filter((sequence) => !ended.has(sequence) && !stopped.has(sequence));
  }

  function idsRead(tokenIndex: number, count: number): Read {
    return { role: { role: "tokens" }, offset: tokenIndex * 4, byteLength: count * 4 };
  }
}

/** Compiles what prefilling these prompts and decoding from them needs, so that nothing compiles between two tokens. */
export async function prepareDecode(
  session: Session,
  prompts: readonly (readonly number[])[],
  options: DecodeOptions,
): Promise<void> {
  const { plan, executor } = session;
  const tail: Tail = isGreedy(options) ? "greedy" : "sample";
  const total = prompts.reduce((sum, { length }) => sum + length, 0);
  const full = Math.min(total, plan.chunkRows);
  const sizes = [full, total % plan.chunkRows].filter((rows) => rows > 0).map((rows) => ({ rows, outs: 1 }));
  await executor.prepare(
    [...sizes, { rows: prompts.length, outs: prompts.length }].map(
      (size) => ({ ...size, head: "logits", tail }) as const,
    ),
    options.signal,
  );
}

function isGreedy({ temperature, repetitionPenalty }: SamplingOptions): boolean {
  return temperature === 0 && repetitionPenalty === 1;
}
