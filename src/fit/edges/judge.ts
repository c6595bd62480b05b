/** How far a bundle moves a model's predictions. */

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
