/** Predictions of a text with and without interventions, in two sequences of one batch. */
import { logSumExp } from "../numbers/distributions.ts";
import { logitRows } from "../runtime/logit-rows.ts";
import { notFinite } from "../runtime/not-finite.ts";
import type { Sequences } from "../runtime/sequences.ts";

/** Sequences of a pair: with the strength of every stage at 0, and with the interventions in force. */
export const PLAIN = 0;
export const EDITED = 1;

/** What both models predict after a token: logarithms of the probabilities of all tokens. */
export interface PairedPrediction {
  readonly position: number;
  readonly plain: Float64Array;
  readonly edited: Float64Array;
}

/**
 * Feeds a text to both sequences, in parts small enough that a step holds the same positions of both. So at most one
 * step's logits are on the host.
 * @param sequences two empty sequences, of which the first has its stages turned off
 * @throws SluiceError `non_finite`, `aborted`
 */
export async function* predictPair(
  sequences: Sequences,
  tokens: readonly number[],
  { promptLength, signal }: { readonly promptLength?: number | undefined; readonly signal?: AbortSignal | undefined },
): AsyncGenerator<PairedPrediction> {
  const { chunkRows, chunkOuts } = sequences.plan;
  for (const sequence of [PLAIN, EDITED]) sequences.beginPrompt(sequence, promptLength ?? tokens.length);
  /** Predictions of the plain model that wait for the edited model's. */
  const waiting = new Map<number, Float64Array>();
  const part = Math.max(1, Math.floor(Math.min(chunkRows, chunkOuts) / 2));
  for (let from = 0; from < tokens.length; from += part) {
    sequences.onProgress({ phase: "run", done: from, total: tokens.length });
    const feeds = [PLAIN, EDITED].map((sequence) => {
      return { sequence, tokens: tokens.slice(from, from + part), outs: "all" as const };
    });
    for await (const { sequence, position, row: logits } of logitRows(sequences, feeds, signal)) {
      const row = logSoftmax(logits);
      if (!row.every(Number.isFinite)) {
        const which = sequence === PLAIN ? "plain" : "edited";
        throw await notFinite(sequences, sequence, `The ${which} model's logits at position ${position}`);
      }
      if (sequence === PLAIN) {
        waiting.set(position, row);
        continue;
      }
      const plain = waiting.get(position) as Float64Array;
      waiting.delete(position);
      yield { position, plain, edited: row };
    }
  }
}

/** Log-probabilities of logits. */
export function logSoftmax(logits: Float32Array): Float64Array {
  const shift = logSumExp(logits);
  return Float64Array.from(logits, (value) => value - shift);
}
