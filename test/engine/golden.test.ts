/** The golden models against float64: logits and every site, one-shot, and cached at every split point. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import type { Model } from "../../src/index.ts";
import { assertClose } from "../support/closeness.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { lastLogits } from "../support/last-logits.ts";
import { load } from "../support/load.ts";
import { sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

interface GoldenCase {
  readonly case: string;
  readonly tokens: readonly number[];
  readonly expected: string;
}

for (const name of ["gpt2-tiny", "llama-tiny", "llama3-tiny"]) {
  const folder = `test/golden/${name}`;

  const withBase = async (
    use: (model: Model, tokens: readonly number[], expected: Map<string, Float32Array>) => Promise<void>,
  ) => {
    const base = (await readJson<GoldenCase[]>(`${folder}/cases.json`)).find((entry) => entry.case === "base");
    assert.ok(base);
    const { tensors } = parseSafetensors(await readBytes(`${folder}/${base.expected}`));
    const expected = new Map([...tensors].map(([site, tensor]) => [site, toFloat32(tensor)]));
    const model = await load(location(folder));
    try {
      await use(model, base.tokens, expected);
    } finally {
      model.dispose();
    }
  };

  test(`${name}: logits and every site`, () =>
    withBase(async (model, tokens, expected) => {
      assertClose((await model.logits(tokens)).data, expected.get("logits") as Float32Array, "logits");
      const sites = [...expected.keys()].filter((site) => site !== "logits");
      const captured = await model.capture(tokens, sites);
      for (const site of sites)
        assertClose((captured.get(site) as { data: Float32Array }).data, expected.get(site) as Float32Array, site);
    }));

  inTurn(`${name}: prefill and cached decode at every split, alone and in a batch`, () =>
    withBase(async (model, tokens, expected) => {
      const logits = expected.get("logits") as Float32Array;
      const { vocab_size } = model.config;
      const sequences = await model.openSequences({ sequences: 3, context: tokens.length });
      /** Three sequences continue from `begin` to `end`; those that do not advance take no part. */
      const advance = async (begin: readonly number[], end: readonly number[]) => {
        const feeds = end
          .map((to, sequence) => ({ sequence, tokens: tokens.slice(begin[sequence], to) }))
          .filter(({ tokens: part }) => part.length > 0);
        for (const [sequence, actual] of await lastLogits(sequences, feeds)) {
          const row = (end[sequence] as number) * vocab_size;
          const what = `sequence ${sequence}, ${begin} to ${end}`;
          assertClose(actual, logits.subarray(row - vocab_size, row), what);
        }
      };
      const all = tokens.length;
      for (let split = 1; split < all; split++) {
        for (let sequence = 0; sequence < 3; sequence++) sequences.slots.truncate(sequence, 0);
        await advance([0, 0, 0], [split, 0, 0]);
        await advance([split, 0, 0], [all, 0, 0]);
        // Another prompt beside one that decodes, then all three together, each at a place of its own.
        sequences.slots.truncate(0, split);
        await advance([split, 0, 0], [split + 1, all - split, 1]);
        const next = [Math.min(split + 2, all), Math.min(all - split + 1, all), 2];
        await advance([split + 1, all - split, 1], next);
      }
      sequences.dispose();
    }),
  );

  test(`${name}: the reference plan gives a token the same bits in any chunk and alone`, () =>
    withBase(async (_, tokens) => {
      const model = await load(location(folder), { plan: "reference" });
      const whole = await model.logits(tokens);
      const { vocab_size } = model.config;
      for (const length of [1, 2, 5, 17]) {
        const part = await model.logits(tokens.slice(0, length));
        assert.equal(part.data, whole.data.slice(0, length * vocab_size));
      }
      model.dispose();
    }));
}

test.run();
