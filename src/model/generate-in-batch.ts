/** A request in a running batch: its tokens as they come, and its summaries at the end. */

import { SluiceError, throwIfAborted } from "../errors.ts";
import { onAbort } from "../on-abort.ts";
import type { BatchRequest } from "../runtime/batch/request.ts";
import type { Scheduler } from "../runtime/batch/scheduler.ts";
import type { Sequences } from "../runtime/sequences.ts";
import type { StagesLease } from "./batch-bundles.ts";
import { type GeneratedToken, type GenerateResult, type GenerationRequest, Output, timingsOf } from "./generation.ts";
import { grammarFor } from "./response-format.ts";
import { TokenQueue } from "./token-queue.ts";

/** What a request runs on. */
export interface BatchLease {
  readonly sequences: Sequences;
  readonly scheduler: Scheduler;
  /** What acts on the request. Called when it starts. */
  lease(): StagesLease;
}

/** A sample of the request. */
interface Continuation {
  readonly request: BatchRequest;
  readonly output: Output;
  readonly seed: number;
  reused: number;
  joined: number;
  first: number;
  ended: number;
}

/** @returns as `generateAlone`; timings are the request's own, from when it joined. */
export async function* generateInBatch(
  wanted: GenerationRequest,
  { sequences, scheduler, lease }: BatchLease,
): AsyncGenerator<GeneratedToken, readonly GenerateResult[]> {
  const { prompts, sampling, signal } = wanted;
  const called = performance.now();
  throwIfAborted(signal);
  sequences.check(prompts);
  const grammar = await grammarFor(wanted.responseFormat, { ...wanted, vocabSize: sequences.vocabSize });
  // Refused here if no token can begin it, not in the middle of the others' steps.
  grammar?.begin().mask();
  throwIfAborted(signal);
  const { stages, release } = lease();
  const queue = new TokenQueue<GeneratedToken>();
  let open = prompts.length;
  const all = prompts.map(({ tokens, seed = sampling.seed }, sample): Continuation => {
    const output = new Output(wanted.tokenizer, tokens, wanted.stop, wanted.stopTokens);
    const continuation: Continuation = {
      output,
      seed,
      reused: 0,
      joined: 0,
      first: 0,
      ended: 0,
      request: {
        tokens,
        sampling: { ...sampling, seed, grammar },
        maxNewTokens: wanted.maxNewTokens,
        stopTokens: wanted.stopTokens,
        promptLength: wanted.promptLength ?? tokens.length,
        stages,
        listener: {
          onJoin(reused) {
            continuation.reused = reused;
            continuation.joined = performance.now();
          },
          onToken({ token, finish, logprobs: drawn }) {
            continuation.ended = performance.now();
            continuation.first ||= continuation.ended;
            const text = output.push({ sequence: sample, token, finish, logprobs: drawn, changes: [] });
            const logprobs = output.logprobs.at(-1);
            queue.push({ token, text, sequence: sample, ...(logprobs && { logprobs }) });
            const isLast = finish !== undefined || output.stoppedByText;
            if (isLast && --open === 0) queue.end();
            return !isLast;
          },
          onError: (error) => queue.fail(error),
        },
      },
    };
    return continuation;
  });
  const forget = onAbort(signal, () => {
    for (const { request } of all) scheduler.cancel(request);
    queue.fail(new SluiceError("aborted", "The operation was aborted", { cause: signal?.reason }));
  });
  try {
    scheduler.add(all.map(({ request }) => request));
    yield* queue;
  } finally {
    forget();
    for (const { request } of all) scheduler.cancel(request);
    release();
  }
  return all.map(({ request: { tokens }, output, reused, seed, joined, first, ended }) => ({
    prompt_tokens: tokens,
    reused_tokens: reused,
    tokens: output.tokens,
    text: output.text,
    ...(sampling.topLogprobs !== undefined && { logprobs: output.logprobs }),
    finish: output.finish,
    changes: [],
    seed: sampling.temperature > 0 ? seed : null,
    // Nothing was compiled for it; it may have waited for a sequence.
    timings: {
      ...timingsOf(joined, joined, first, ended, [{ tokens, reused }], [output]),
      time_to_first_token_ms: first - called,
    },
  }));
}
