/** A model whose weights are not finite is refused when it is loaded; what the graph does not name may hold anything. */
import { test } from "uvu";
import { openCheckpoint } from "../../src/formats/huggingface.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { type StoredTensor, storeFloat32 } from "../../src/formats/safetensors.ts";
import { readJson } from "../../src/formats/source.ts";
import { refusal } from "../formats/refusal.ts";
import { location } from "../support/files.ts";
import { load } from "../support/load.ts";
import { modelFiles } from "../support/model-files.ts";

/** The sorting model, with float32 words replaced, and masks as old files hold them. */
async function changed(name: string, changes: Readonly<Record<number, number>>): Promise<File[]> {
  const files = await openSource(location("weights/gpt-nano-sort"));
  try {
    const checkpoint = await openCheckpoint(files);
    const tensors = new Map<string, StoredTensor>();
    for (const [tensor, { dtype, shape, byteLength }] of checkpoint.tensors) {
      const bytes = new Uint8Array(await checkpoint.read(tensor, 0, byteLength));
      const values = new Float32Array(bytes.buffer);
      if (tensor === name) for (const [at, value] of Object.entries(changes)) values[Number(at)] = value;
      tensors.set(tensor, { dtype, shape, bytes });
    }
    tensors.set("h.0.attn.masked_bias", storeFloat32(Float32Array.of(Number.NEGATIVE_INFINITY), [1]));
    return modelFiles({ tensors, config: (await readJson(files, "config.json")) as Record<string, unknown> });
  } finally {
    await files.close();
  }
}

for (const [name, place] of [
  ["transformer.h.1.mlp.c_proj.bias", "[5] of [48]"],
  ["transformer.h.1.attn.c_attn.weight", "[0,5] of [48,144]"],
  ["transformer.wte.weight", "[0,5] of"],
] as const) {
  test(`${name}: named, with the place and the number`, async () => {
    const files = await changed(name, { 5: Number.NaN, 7: Number.POSITIVE_INFINITY });
    await refusal(
      "bad_weights",
      () => load(files),
      `${name} holds 2 numbers that are not finite (1 NaN, 1 Infinity); the first is NaN at ${place}`,
      "download it again",
    );
  });
}

test("a mask of -Infinity that no graph reads loads", async () => {
  (await load(await changed("", {}))).dispose();
});

test.run();
