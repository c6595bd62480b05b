/** The folders in the repository: from disk in Node, by HTTP in a page. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readGenerationConfig } from "../../src/architectures/generation-config.ts";
import { readConfig } from "../../src/architectures/read-config.ts";
import { openCheckpoint } from "../../src/formats/huggingface.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { parseSafetensors, writeSafetensors } from "../../src/formats/safetensors.ts";
import { readJson } from "../../src/formats/source.ts";
import { location, readBytes } from "../support/files.ts";
import { refusal } from "./refusal.ts";

const folders = [
  { path: "weights/stories260K", tensors: 47, dtype: "F32", embedding: "model.embed_tokens.weight" },
  { path: "weights/gpt-nano-sort", tensors: 41, dtype: "F32", embedding: "transformer.wte.weight" },
  { path: "weights/gpt2-stories", tensors: 52, dtype: "F16", embedding: "wte.weight" },
  { path: "test/golden/gpt2-tiny", tensors: 40, dtype: "F32", embedding: "transformer.wte.weight" },
  { path: "test/golden/llama-tiny", tensors: 30, dtype: "F32", embedding: "model.embed_tokens.weight" },
  { path: "test/golden/llama3-tiny", tensors: 29, dtype: "BF16", embedding: "model.embed_tokens.weight" },
];

for (const { path, tensors, dtype, embedding } of folders) {
  test(`${path}: config and checkpoint`, async () => {
    const source = await openSource(location(path));
    const config = readConfig(await readJson(source, "config.json"), source.describe("config.json"));
    const checkpoint = await openCheckpoint(source);
    assert.is(checkpoint.tensors.size, tensors);
    for (const tensor of checkpoint.tensors.values()) assert.is(tensor.dtype, dtype);
    const info = checkpoint.tensors.get(embedding);
    assert.equal(info?.shape, [config.vocab_size, config.hidden_size]);
    const length = info?.byteLength ?? 0;
    const whole = await checkpoint.read(embedding, 0, length);
    assert.equal(await checkpoint.read(embedding, length - 10, length), whole.subarray(length - 10));
    await checkpoint.close();
  });
}

test("expected tensors are read, and survive being written again", async () => {
  const path = "weights/gpt-nano-sort/expected.safetensors";
  const { tensors } = parseSafetensors(await readBytes(path), path);
  assert.equal(tensors.get("tokens")?.shape, [3, 11]);
  const again = parseSafetensors(writeSafetensors(tensors)).tensors;
  assert.equal(new Map([...again].sort()), new Map([...tensors].sort()));
});

test("metadata of a published file", async () => {
  const { metadata } = parseSafetensors(await readBytes("weights/stories260K/model.safetensors"));
  assert.equal([...metadata], [["format", "pt"]]);
});

test("the stop ids of stories260K", async () => {
  const source = await openSource(location("weights/stories260K"));
  const json = await readJson(source, "generation_config.json");
  assert.equal(readGenerationConfig(json, "generation_config.json", 512).eos_token_ids, [1, 2]);
  await source.close();
});

test("a folder that does not exist", async () => {
  const open = async () => openCheckpoint(await openSource(location("weights/no-such-model")));
  await refusal("not_found", open, "no-such-model");
});

test.run();
