/** Perplexity of texts under a model. */

import { MAX_ROWS } from "../compile/lower.ts";
import { SluiceError } from "../errors.ts";
import { textWarnings } from "../interventions/position-warnings.ts";
import type { ModelConfig } from "../model-config.ts";
import { notFinite } from "../runtime/not-finite.ts";
import type { Sequences } from "../runtime/sequences.ts";
import type { PerplexityOptions, SessionOptions } from "./options.ts";
import { checkPromptLength } from "./request.ts";
import { groupsOf, type Window, windowsOf } from "./windows.ts";

/** How well a model predicts documents. */
export interface Perplexity {
  /** exp(nll). */
  readonly perplexity: number;
  /** Mean negative log-likelihood per predicted token, in nats. */
  readonly nll: number;
  /** Predicted tokens: all but the first of each document. */
  readonly tokens: number;
}

/** Sequences packed into one step: enough to fill it with short texts. */
const MOST_SEQUENCES = 16;

/**
 * @param documents token ids, including BOS if wanted; those shorter than two tokens predict nothing
 * @throws SluiceError `usage` if there is nothing to predict, or the stride or prompt length is out of range
 */
export async function measurePerplexity(
  openSequences: (options: SessionOptions) => Promise<Sequences>,
  config: ModelConfig,
  documents: readonly (readonly number[])[],
  options: PerplexityOptions,
  onNotice: (text: string) => void = () => undefined,
): Promise<Perplexity> {
  const longest = documents.reduce((most, tokens) => Math.max(most, tokens.length), 0);
  const context = Math.min(longest, config.max_position_embeddings);
  const stride = options.stride ?? Math.max(1, config.max_position_embeddings >> 1);
  if (!Number.isSafeInteger(stride) || stride < 1 || stride >= Math.max(2, config.max_position_embeddings)) {
    throw new SluiceError(
      "usage",
      `stride is ${stride}; it must be a whole number from 1 to ${config.max_position_embeddings - 1}`,
    );
  }
  const windows = documents.flatMap((tokens) => windowsOf(tokens, context, stride));
  const total = windows.reduce((sum, { counted }) => sum + counted, 0);
  if (total === 0)
    throw new SluiceError("usage", "There is no token to predict: every text is shorter than two tokens");
  const widest = windows.reduce((most, window) => (window.tokens.length > most.tokens.length ? window : most));
  const promptLength = checkPromptLength(options.promptLength, [widest]) ?? context;

  const { signal } = options;
  const sequences = Math.min(MOST_SEQUENCES, windows.length);
  const slots = Math.min(sequences * context, Math.max(context, MAX_ROWS));
  const cached = await openSequences({ sequences, context, slots, signal });
  const texts = windows.map(({ tokens }) => ({ tokens, promptLength: Math.min(promptLength, tokens.length) }));
  textWarnings(cached.stages?.positionsOf(0) ?? [], texts).forEach(onNotice);
  try {
    let sum = 0;
    let done = 0;
    for (const group of groupsOf(windows, cached.plan.sequences, cached.plan.chunkRows)) {
      const feeds = group.map(({ tokens }, sequence) => ({ sequence, tokens, outs: "predicting" as const }));
      for (const { sequence, tokens } of feeds) {
        cached.beginPrompt(sequence, Math.min(promptLength, tokens.length));
      }
      const steps = cached.feed(feeds, {
        head: "logits",
        tail: "loss",
        signal,
        reads: (step) => [{ role: { role: "losses" }, offset: 0, byteLength: Math.max(1, step.outs.length) * 4 }],
      });
      for await (const { step, bytes } of steps) {
        const losses = new Float32Array(bytes[0] as ArrayBuffer);
        for (const [i, { sequence, position }] of step.outs.entries()) {
          const { tokens, counted } = group[sequence] as Window;
          if (position + 1 < tokens.length - counted) continue;
          const loss = losses[i] as number;
          if (!Number.isFinite(loss)) {
            throw await notFinite(cached, sequence, `The losses at position ${position + 1} of a text`);
          }
          sum += loss;
          done++;
        }
        options.onProgress?.(done, total);
      }
      feeds.forEach(({ sequence }) => cached.slots.truncate(sequence, 0));
    }
    const nll = sum / total;
    return { perplexity: Math.exp(nll), nll, tokens: total };
  } finally {
    cached.dispose();
  }
}
