/** The plan whose cache is float16: half the memory, logits close to the default plan's, and no silent overflow. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { parseSafetensors, storeFloat32, toFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import type { LoadOptions, Model, ModelSource } from "../../src/index.ts";
import { location, readBytes, readText } from "../support/files.ts";
import { load } from "../support/load.ts";
import { codeOf } from "../support/refusal-code.ts";
import { myTurns } from "../support/turns.ts";

const TOKENS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3];

async function using<Result>(source: ModelSource, options: LoadOptions, use: (model: Model) => Promise<Result>) {
  const model = await load(source, options);
  try {
    return await use(model);
  } finally {
    model.dispose();
  }
}

test("logits differ by what float16 rounds away, and keys and values take half the memory", async () => {
  const of = (plan: "default" | "f16-cache", family: "register" | "tiled") =>
    using(location("test/golden/llama-tiny"), { plan, family }, async (model) => ({
      logits: (await model.logits(TOKENS)).data,
      captured: await model.capture(TOKENS, ["attn_pattern.1"]),
      buffers: await model.explain({ parts: ["buffers"], context: 64 }),
      greedy: (await model.generate(TOKENS, { maxNewTokens: 4, temperature: 0 }).result()).tokens.length,
    }));
  for (const family of myTurns(["register", "tiled"] as const)) {
    const [wide, narrow] = [await of("default", family), await of("f16-cache", family)];
    const largest = wide.logits.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const off = narrow.logits.reduce(
      (most, value, i) => Math.max(most, Math.abs(value - (wide.logits[i] as number))),
      0,
    );
    // float16 rounds to 2⁻¹¹ of a number.
    assert.ok(off > 0 && off < 0.002 * largest, `${family}: ${off} of ${largest}`);
    const bytes = ({ buffers }: typeof wide): number =>
      Number(/keys\[.*?\] +([\d,]+) each/.exec(buffers)?.[1]?.replaceAll(",", ""));
    assert.is(bytes(narrow), bytes(wide) / 2);
    assert.match(narrow.buffers, /slots, float16$/m);
    assert.is(narrow.greedy, 4);
  }
});

test("heads whose width is no multiple of four keep float32, and the reference plan always does", async () => {
  const cacheOf = (plan: "reference" | "f16-cache", folder: string) =>
    using(location(folder), { plan }, async (model) => model.plan({}).cache);
  assert.is(await cacheOf("f16-cache", "weights/gpt2-stories"), "f16");
  assert.is(await cacheOf("reference", "weights/gpt2-stories"), "f32");
});

test("keys beyond float16 are reported, not rounded to something else", async () => {
  const folder = "test/golden/llama-tiny";
  const { tensors } = parseSafetensors(await readBytes(`${folder}/model.safetensors`));
  const changed = new Map(
    [...tensors].map(([name, tensor]) => [
      name,
      name.includes("layers.1.self_attn.k_proj")
        ? storeFloat32(
            toFloat32(tensor).map((value) => value * 1e6),
            tensor.shape,
          )
        : tensor,
    ]),
  );
  const files = [
    new File([await readText(`${folder}/config.json`)], "config.json"),
    new File([writeSafetensors(changed)], "model.safetensors"),
  ];
  await using(files, {}, (model) => model.logits(TOKENS));
  const narrow = (): Promise<unknown> => using(files, { plan: "f16-cache" }, (model) => model.logits(TOKENS));
  assert.is(await codeOf(narrow), "non_finite");
});

test.run();
