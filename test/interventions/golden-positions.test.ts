/** Every golden case of positions, in the engine: in one prefill, in two chunks, and a token at a time from the cache. */
import { test } from "uvu";
import { logitsOf } from "../../src/compile/plan.ts";
import { parseSafetensors, toFloat32 } from "../../src/formats/safetensors.ts";
import { loadBundle, type Model } from "../../src/index.ts";
import { assertClose } from "../support/closeness.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";

interface GoldenCase {
  readonly case: string;
  readonly tokens: readonly number[];
  readonly prompt_len: number;
  readonly bundle: string;
  readonly expected: string;
}

for (const name of ["gpt2-tiny", "llama-tiny"]) {
  const folder = `test/golden/${name}`;

  test(`${name}: positions of every form`, async () => {
    const plain = await load(location(folder));
    try {
      for (const golden of await readJson<GoldenCase[]>(`${folder}/positions.json`)) {
        const model = plain.with([await loadBundle(await readBytes(`${folder}/${golden.bundle}`))]);
        const { tensors } = parseSafetensors(await readBytes(`${folder}/${golden.expected}`));
        const stored = tensors.get("logits");
        if (!stored) throw new Error(`${golden.expected} has no logits`);
        await assertParts(model, golden, toFloat32(stored));
      }
    } finally {
      plain.dispose();
    }
  });
}

/** Runs the tokens in one sequence whole, in a second in two chunks, in a third one at a time. */
async function assertParts(model: Model, golden: GoldenCase, expected: Float32Array): Promise<void> {
  const { case: what, tokens, prompt_len } = golden;
  const sequences = await model.openSequences({ sequences: 3, context: tokens.length });
  const { vocab_size } = model.config;
  const { stride } = logitsOf(sequences.plan);
  const half = tokens.length >> 1;
  const lanes = [[tokens], [tokens.slice(0, half), tokens.slice(half)], tokens.map((token) => [token])];
  try {
    for (const [sequence, parts] of lanes.entries()) {
      sequences.beginPrompt(sequence, prompt_len);
      for (const part of parts) {
        const steps = sequences.feed([{ sequence, tokens: part, outs: "all" }], {
          head: "logits",
          tail: "none",
          reads: ({ outs }) => [{ role: { role: "logits" }, offset: 0, byteLength: outs.length * stride * 4 }],
        });
        for await (const { step, bytes } of steps) {
          const rows = new Float32Array(bytes[0] as ArrayBuffer);
          step.outs.forEach(({ position }, i) => {
            const actual = rows.subarray(i * stride, i * stride + vocab_size);
            const wanted = expected.subarray(position * vocab_size, (position + 1) * vocab_size);
            assertClose(actual, wanted, `${what} in ${parts.length} parts, position ${position}`);
          });
        }
      }
    }
  } finally {
    sequences.dispose();
  }
}

test.run();
