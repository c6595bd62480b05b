/** The logits after the last token fed to each sequence, read back as they are. */
import { logitsOf } from "../../src/compile/plan.ts";
import type { Sequences } from "../../src/runtime/sequences.ts";

export async function lastLogits(
  sequences: Sequences,
  feeds: readonly { readonly sequence: number; readonly tokens: readonly number[] }[],
): Promise<Map<number, Float32Array<ArrayBuffer>>> {
  const { vocabSize } = sequences;
  const logits = logitsOf(sequences.plan);
  const results = new Map<number, Float32Array<ArrayBuffer>>();
  const steps = sequences.feed(
    feeds.map((feed) => ({ ...feed, outs: "last" as const })),
    {
      head: "logits",
      tail: "none",
      reads: ({ outs }) => {
        const byteLength = outs.length * logits.stride * 4;
        return byteLength === 0 ? [] : [{ role: { role: "activation", index: logits.index }, offset: 0, byteLength }];
      },
    },
  );
  for await (const { step, bytes } of steps) {
    step.outs.forEach(({ sequence }, i) => {
      results.set(sequence, new Float32Array(bytes[0] as ArrayBuffer, i * logits.stride * 4, vocabSize).slice());
    });
  }
  return results;
}
