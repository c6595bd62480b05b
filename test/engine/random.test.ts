/** Random models of awkward shapes against float64: storage types, biases, windows, rotations, chunks and batches. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { noStages } from "../../src/interventions/stage.ts";
import { uniform } from "../reference/draw.ts";
import { referenceForward } from "../reference/forward.ts";
import { openReference } from "../reference/open.ts";
import { openRandomModel } from "../reference/random-models.ts";
import { assertClose } from "../support/closeness.ts";
import { lastLogits } from "../support/last-logits.ts";
import { load } from "../support/load.ts";
import { longFiles } from "../support/long-model.ts";
import { myTurns } from "../support/turns.ts";

const tokensFor = (seed: number, count: number, vocab: number): number[] => {
  const next = uniform(seed);
  return Array.from({ length: count }, () => Math.floor(next() * vocab));
};

test("logits of random models, whole and in batches of different lengths", async () => {
  for (const seed of myTurns([0, 1, 2, 3, 5, 7, 10, 13])) {
    const { files, weights, config, summary } = await openRandomModel(seed);
    const tokens = tokensFor(seed, 21, config.vocab_size);
    const { logits } = referenceForward(weights, config, noStages, { tokens });
    const expected = Float32Array.from(logits);
    const model = await load(files);
    assertClose((await model.logits(tokens)).data, expected, summary);

    const sequences = await model.openSequences({ sequences: 3, context: tokens.length });
    const lengths = [4, 11, 1];
    for (let begin = lengths.map(() => 0), step = 0; step < 4; step++) {
      const end = lengths.map((length) => length + step * 3);
      const feeds = end.map((to, sequence) => ({ sequence, tokens: tokens.slice(begin[sequence], to) }));
      for (const [sequence, actual] of await lastLogits(sequences, feeds)) {
        const row = (end[sequence] as number) * config.vocab_size;
        assertClose(actual, expected.subarray(row - config.vocab_size, row), `sequence ${sequence} of ${summary}`);
      }
      begin = end;
    }
    sequences.dispose();
    model.dispose();
  }
});

// Seed 13 slides a window, 5 does not.
for (const seed of myTurns([5, 13])) {
  test(`a prompt of several chunks, cut wherever (seed ${seed})`, async () => {
    const { weights, config } = await openReference(await longFiles(seed));
    const tokens = tokensFor(seed, 530, config.vocab_size);
    const all = Float32Array.from(referenceForward(weights, config, noStages, { tokens }).logits);
    const last = all.subarray(-config.vocab_size);
    for (const plan of ["default", "reference"] as const) {
      const model = await load(await longFiles(seed), { plan });
      const whole = await model.logits(tokens);
      assertClose(whole.data, all, `all positions, ${plan} plan`);

      const sequences = await model.openSequences({ context: tokens.length });
      for (const cuts of [[530], [100, 200, 530], [257, 529, 530]]) {
        sequences.slots.truncate(0, 0);
        let actual = new Float32Array();
        for (const [i, to] of cuts.entries()) {
          const part = tokens.slice(cuts[i - 1] ?? 0, to);
          actual = (await lastLogits(sequences, [{ sequence: 0, tokens: part }])).get(0) ?? actual;
        }
        assertClose(actual, last, `cut at ${cuts}, ${plan} plan`);
        if (plan === "reference") assert.equal(actual, whole.data.slice(-config.vocab_size), `bits, cut at ${cuts}`);
      }
      sequences.dispose();
      model.dispose();
    }
  });
}

test.run();
