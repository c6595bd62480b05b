/** How far a bundle moves a model's predictions. */
import type { Model } from "../../model/model.ts";
import { divergence } from "../../numbers/distributions.ts";
import {
  inProcess,
  labelOf,
  type Shard,
  type ShardCall,
  type ShardKind,
  type ShardRunner,
} from "../../shards/shards.ts";

interface DivergenceInput {
  readonly texts: readonly (readonly number[])[];
}

/** KL(plain ‖ edited) of the next token at every position of some texts, in nats; plain is the model without its interventions. */
export const divergences: ShardKind<DivergenceInput, Float64Array> = {
  name: "divergences",
  amount: ({ texts }) => texts.length,
  async run(edited, { texts }, { signal, onProgress }) {
    const plain = edited.withStages({ stages: [], warnings: [] });
    const options = signal ? { signal } : {};
    const all: number[] = [];
    for (const [i, tokens] of texts.entries()) {
      const p = await plain.logits(tokens, options);
      const q = await edited.logits(tokens, options);
      const width = p.shape[1] as number;
      for (let t = 0; t < tokens.length; t++) {
        all.push(divergence(p.data.subarray(t * width, (t + 1) * width), q.data.subarray(t * width, (t + 1) * width)));
      }
      onProgress?.(i + 1);
    }
    return Float64Array.from(all);
  },
};

/** Texts of a shard: few are judged, each with two runs. */
const SHARD_TEXTS = 4;

/**
 * Of each list of texts, the mean of KL(plain ‖ edited) over all positions, in nats.
 * @param edited the model with the interventions that are judged
 */
export async function meanDivergences(
  edited: Model,
  lists: readonly (readonly (readonly number[])[])[],
  { runner = inProcess, signal }: Pick<ShardCall, "signal"> & { readonly runner?: ShardRunner | undefined },
): Promise<readonly number[]> {
  const shards = lists.flatMap((texts, list) =>
    Array.from({ length: Math.ceil(texts.length / SHARD_TEXTS) }, (_, i): Shard<DivergenceInput> & { list: number } => {
      const some = texts.slice(i * SHARD_TEXTS, (i + 1) * SHARD_TEXTS);
      const label = labelOf("judged text", "judged texts", i * SHARD_TEXTS, some.length);
      return { label, model: edited, input: { texts: some }, list };
    }),
  );
  const sums = lists.map(() => ({ sum: 0, positions: 0 }));
  let done = 0;
  for await (const some of runner.run(divergences, shards, { signal })) {
    const total = sums[shards[done++]?.list ?? 0] as { sum: number; positions: number };
    for (const value of some) total.sum += value;
    total.positions += some.length;
  }
  return sums.map(({ sum, positions }) => sum / positions);
}
