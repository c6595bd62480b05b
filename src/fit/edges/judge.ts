/** How far a bundle moves a model's predictions, and a self-test for its users. Both run the bundle itself. */

import type { Check } from "../../interventions/manifest.ts";
import type { Model } from "../../model/model.ts";
import { divergence } from "../../numbers/distributions.ts";

/**
 * KL(plain ‖ edited) of the next token's distribution in nats, averaged over all positions of the texts.
 */
export async function meanDivergence(
  plain: Model,
  edited: Model,
  texts: readonly (readonly number[])[],
  signal: AbortSignal | undefined,
): Promise<number> {
  let sum = 0;
  let positions = 0;
  for (const tokens of texts) {
    const options = signal ? { signal } : {};
    const p = await plain.logits(tokens, options);
    const q = await edited.logits(tokens, options);
    const width = p.shape[1] as number;
    for (let t = 0; t < tokens.length; t++) {
      sum += divergence(p.data.subarray(t * width, (t + 1) * width), q.data.subarray(t * width, (t + 1) * width));
      positions++;
    }
  }
  return sum / positions;
}

/** Number of highest logits in a check. */
const CHECKED = 5;

/** The highest logits after some tokens with the bundle applied, with the tolerance for other devices. */
export async function checkOf(
  edited: Model,
  tokens: readonly number[],
  signal: AbortSignal | undefined,
): Promise<Check> {
  const { data } = await edited.logits(tokens, { last: true, ...(signal && { signal }) });
  const top = Array.from(data, (logit, token) => [token, logit] as const)
    .sort(([, a], [, b]) => b - a)
    .slice(0, CHECKED);
  const scale = data.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
  return { tokens, prompt_length: tokens.length, top, atol: 2e-3 * scale };
}
