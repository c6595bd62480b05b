/** The golden models against float64: logits and every site, one-shot, and cached at every split point. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import { load, type Model } from "../../src/index.ts";
import { assertClose } from "../support/closeness.ts";
import { location, readBytes, readJson } from "../support/files.ts";

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

  test(`${name}: prefill and cached decode at every split`, () =>
    withBase(async (model, tokens, expected) => {
      const logits = expected.get("logits") as Float32Array;
      const { vocab_size } = model.config;
      const session = await model.openSequences({ context: tokens.length });
      const { index, stride } = session.plan.logits;
      for (let split = 1; split < tokens.length; split++) {
        session.slots.truncate(0, 0);
        for (const part of [tokens.slice(0, split), tokens.slice(split)]) {
          const steps = session.feed([{ sequence: 0, tokens: part, outs: "last" }], {
            head: "logits",
            tail: "none",
            reads: () => [{ role: { role: "activation", index }, offset: 0, byteLength: stride * 4 }],
          });
          for await (const { bytes } of steps) {
            const row = (session.slots.lengthOf(0) - 1) * vocab_size;
            const actual = new Float32Array(bytes[0] as ArrayBuffer).subarray(0, vocab_size);
            assertClose(actual, logits.subarray(row, row + vocab_size), `split at ${split}`);
          }
        }
      }
      session.dispose();
    }));

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
