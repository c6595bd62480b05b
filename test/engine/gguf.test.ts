/**
 * Models in GGUF files compute what transformers computes of the numbers that gguf-py reads there
 * (scripts/gguf/generate.py), and what a float32 folder of these numbers computes here, edited or not.
 */
import fc from "fast-check";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openModel } from "../../src/architectures/open-model.ts";
import { dequantized } from "../../src/formats/dequantized.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { type StoredTensor, storeFloat32, toFloat32 } from "../../src/formats/safetensors.ts";
import { readJson as readJsonFile } from "../../src/formats/source.ts";
import { randomCompositions, randomRuns } from "../reference/random-compositions.ts";
import { assertClose } from "../support/closeness.ts";
import { location, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { modelFiles } from "../support/model-files.ts";
import { myTurns } from "../support/turns.ts";

const { models } = await readJson<{
  readonly models: Readonly<Record<string, { readonly logits: string; readonly ids: readonly number[] }>>;
}>("test/data/gguf/models.json");

const floatsOf = (base64: string): Float32Array =>
  new Float32Array(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);

const pathOf = (name: string): string => location(`test/data/gguf/${name}.gguf`);

for (const [name, { logits, ids }] of myTurns(Object.entries(models))) {
  test(`${name}: logits as in transformers`, async () => {
    const model = await load(pathOf(name));
    try {
      assertClose((await model.logits(ids)).data, floatsOf(logits), name, 1e-5);
    } finally {
      model.dispose();
    }
  });
}

// Compiling takes the time: a model with every K type, and one whose matrices a folder has the other way round.
for (const name of myTurns(["llama", "gpt2-00001-of-00002"])) {
  test(`${name}, edited: as from a folder of float32`, async () => {
    const [model, plain] = [await load(pathOf(name)), await load(await floatFolder(name))];
    try {
      const cases = fc.tuple(randomCompositions(plain.config), randomRuns(plain.config));
      for (const [composition, { tokens, promptLength }] of fc.sample(cases, { numRuns: 1, seed: 3 })) {
        const [edited, wanted] = [model.withStages(composition), plain.withStages(composition)];
        const actual = await edited.logits(tokens, { promptLength });
        const other = await wanted.logits(tokens, { promptLength });
        assertClose(actual.data, other.data, `${name} with ${composition.stages.map(({ kind }) => kind).join()}`, 1e-5);
      }
    } finally {
      model.dispose();
      plain.dispose();
    }
  });
}

/** The model as a folder of float32 weights. */
async function floatFolder(name: string): Promise<File[]> {
  const files = await openSource(pathOf(name));
  try {
    const { checkpoint } = await openModel(files, () => undefined);
    const { sluice_quantization: _, ...config } = (await readJsonFile(files, "config.json")) as Record<string, unknown>;
    const floats = dequantized(checkpoint);
    const tensors = new Map<string, StoredTensor>();
    for (const [tensor, { dtype, shape, byteLength }] of floats.tensors) {
      const values = toFloat32({ dtype, shape, bytes: await floats.read(tensor, 0, byteLength) });
      tensors.set(tensor, storeFloat32(values, shape));
    }
    return modelFiles({ tensors, config });
  } finally {
    await files.close();
  }
}

test("stories260K in 8 bits tells its story, from text and without another file", async () => {
  const model = await load(pathOf("stories260K-Q8_0"));
  try {
    assert.is(model.config.quantization, "gguf");
    const { text } = await model.generate("Once upon a time", { maxNewTokens: 24 }).result();
    assert.match(text ?? "", /^, there was a little girl named Lily\./);
  } finally {
    model.dispose();
  }
});

test.run();
