/** Every golden case with a bundle, in the engine: in one prefill, and from a cached prefix on. */
import { test } from "uvu";
import { logitsOf } from "../../src/compile/plan.ts";
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import { loadBundle, type Model } from "../../src/index.ts";
import { assertClose } from "../support/closeness.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { myTurns } from "../support/turns.ts";

interface GoldenCase {
  readonly case: string;
  readonly tokens: readonly number[];
  readonly prompt_len: number;
  readonly bundle: string | null;
  readonly strengths?: Readonly<Record<string, number>>;
  readonly params?: Readonly<Record<string, { readonly alpha: number }>>;
  readonly expected: string;
}

const MODELS = ["gpt2-tiny", "llama-tiny", "llama3-tiny"];

/**
 * A model's bundles share kernels, of which prompts of other lengths have others: all of a model are run in Node or in
 * Chromium, where each compiles once. Each model has every kind of stage.
 */
const mine = myTurns(MODELS);

/** Scopes that end or begin within the tokens: every split between prefill and cached decode counts. */
const SCOPED = /^(?:addition-generated|everything)$/;

for (const name of mine) {
  const folder = `test/golden/${name}`;

  const withCases = async (
    pattern: RegExp,
    options: Parameters<typeof load>[1],
    use: (model: Model, golden: GoldenCase, logits: Float32Array) => Promise<void>,
  ): Promise<void> => {
    const plain = await load(location(folder), options);
    try {
      for (const golden of await readJson<GoldenCase[]>(`${folder}/cases.json`)) {
        if (!golden.bundle || !pattern.test(golden.case)) continue;
        const bundle = await loadBundle(await readBytes(`${folder}/${golden.bundle}`));
        const model = plain.with([bundle], {
          strengths: new Map(Object.entries(golden.strengths ?? {})),
          params: new Map(Object.entries(golden.params ?? {})),
        });
        const { tensors } = parseSafetensors(await readBytes(`${folder}/${golden.expected}`));
        const expected = tensors.get("logits");
        if (!expected) throw new Error(`${golden.expected} has no logits`);
        await use(model, golden, toFloat32(expected));
      }
    } finally {
      plain.dispose();
    }
  };

  test(`${name}: every bundle in one prefill, and its last tokens one at a time`, async () => {
    await withCases(/./, {}, async (model, { case: what, tokens, prompt_len }, expected) => {
      const whole = await model.logits(tokens, { promptLength: prompt_len });
      assertClose(whole.data, expected, what);
      const ends = SCOPED.test(what) ? tokens.map((_, i) => i).slice(1) : [tokens.length - 2];
      for (const split of ends) await assertSplit(model, tokens, prompt_len, split, expected, `${what} from ${split}`);
    });
  });

  // These kernels compile for seconds on a software device: one bundle of a model, between them all kinds.
  const chosen = { "gpt2-tiny": /^everything$/, "llama-tiny": /^edges-most-cut$/, "llama3-tiny": /^edges-dense/ }[name];
  test(`${name}: a bundle with the kernels for GPUs`, () =>
    withCases(chosen ?? /./, { family: "tiled" }, async (model, golden, expected) => {
      const { data } = await model.logits(golden.tokens, { promptLength: golden.prompt_len });
      assertClose(data, expected, golden.case);
    }));
}

/** Prefills tokens [0, split), then runs the rest one at a time, each against its row of logits. */
async function assertSplit(
  model: Model,
  tokens: readonly number[],
  promptLength: number,
  split: number,
  expected: Float32Array,
  what: string,
): Promise<void> {
  const sequences = await model.openSequences({ context: tokens.length });
  const { vocab_size } = model.config;
  const { stride } = logitsOf(sequences.plan);
  try {
    sequences.beginPrompt(0, promptLength);
    const parts = [tokens.slice(0, split), ...tokens.slice(split).map((token) => [token])];
    for (const part of parts) {
      const steps = sequences.feed([{ sequence: 0, tokens: part, outs: "last" }], {
        head: "logits",
        tail: "none",
        reads: () => [{ role: { role: "logits" }, offset: 0, byteLength: stride * 4 }],
      });
      for await (const { bytes } of steps) {
        const row = sequences.slots.lengthOf(0) - 1;
        const actual = new Float32Array(bytes[0] as ArrayBuffer).subarray(0, vocab_size);
        assertClose(actual, expected.subarray(row * vocab_size, (row + 1) * vocab_size), `${what}, position ${row}`);
      }
    }
  } finally {
    sequences.dispose();
  }
}

test.run();
