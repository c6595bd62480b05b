/** LoRA adapters merged at load: against PEFT's logits, and what does not fit is refused by name. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { withAdapters } from "../../src/adapters/adapted-checkpoint.ts";
import { openAdapter } from "../../src/adapters/lora.ts";
import type { ErrorCode } from "../../src/errors.ts";
import { openSource } from "../../src/formats/open-source.ts";
import { parseSafetensors, storeFloat32, toFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import type { LoadOptions } from "../../src/index.ts";
import { refusal } from "../formats/refusal.ts";
import { assertClose } from "../support/closeness.ts";
import { location, readBytes, readJson } from "../support/files.ts";
import { load } from "../support/load.ts";
import { sharedOut } from "../support/turns.ts";

const inTurn = sharedOut(test);

const DATA = "test/data/lora";
const IDS = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9];

async function logitsWith(model: string, lora: LoadOptions["lora"], notices: string[] = []): Promise<Float32Array> {
  const options = { ...(lora && { lora }), onNotice: (text: string) => notices.push(text) };
  const loaded = await load(location(`test/golden/${model}`), options);
  try {
    return (await loaded.logits(IDS)).data;
  } finally {
    loaded.dispose();
  }
}

async function expected(name: string): Promise<Float32Array> {
  const tensor = parseSafetensors(await readBytes(`${DATA}/expected.safetensors`)).tensors.get(name);
  assert.ok(tensor, name);
  return toFloat32(tensor);
}

for (const [name, model] of [
  ["llama-patterns", "llama-tiny"],
  ["llama-rslora", "llama-tiny"],
  ["llama-saved", "llama-tiny"],
  ["gpt2-conv1d", "gpt2-tiny"],
  ["llama3-tied", "llama3-tiny"],
] as const) {
  inTurn(`${name}: the logits are those of PEFT`, async () => {
    assertClose(await logitsWith(model, location(`${DATA}/${name}`)), await expected(name), name);
  });
}

test("several adapters are added up, each times its scale; a scale of 0 is the plain model", async () => {
  const [patterns, rslora] = [location(`${DATA}/llama-patterns`), location(`${DATA}/llama-rslora`)];
  const both = [
    { source: patterns, scale: 0.5 },
    { source: rslora, scale: -2 },
  ];
  assertClose(await logitsWith("llama-tiny", both), await expected("two-scaled"), "both");
  const none = await logitsWith("llama-tiny", [{ source: rslora, scale: 0 }]);
  assert.equal(none, await logitsWith("llama-tiny", undefined));
});

/** An adapter's folder, as files that a person picked, with some of it changed. */
async function adapterFiles(
  name: string,
  config: Readonly<Record<string, unknown>>,
  rename: (tensor: string) => string | null = (tensor) => tensor,
): Promise<File[]> {
  const stored = await readJson<Record<string, unknown>>(`${DATA}/${name}/adapter_config.json`);
  const { tensors } = parseSafetensors(await readBytes(`${DATA}/${name}/adapter_model.safetensors`));
  const renamed = [...tensors].flatMap(([tensor, value]) => {
    const to = rename(tensor);
    return to === null ? [] : [[to, value] as const];
  });
  return [
    new File([JSON.stringify({ ...stored, ...config })], "adapter_config.json"),
    new File([writeSafetensors(new Map(renamed))], "adapter_model.safetensors"),
  ];
}

test("what is not a LoRA for this model is refused by name", async () => {
  const refuse = async (code: ErrorCode, says: RegExp, lora: ArrayLike<File>, model = "llama-tiny"): Promise<void> => {
    const message = await refusal(code, () => load(location(`test/golden/${model}`), { lora: [lora] }));
    assert.match(message, says);
  };
  const rslora = (config: Readonly<Record<string, unknown>>, rename?: (tensor: string) => string | null) =>
    adapterFiles("llama-rslora", config, rename);
  await refuse("bad_config", /peft_type is "IA3"; only LORA/, await rslora({ peft_type: "IA3" }));
  await refuse("bad_config", /use_dora is true; DoRA/, await rslora({ use_dora: true }));
  await refuse("bad_config", /init_lora_weights is "pissa"/, await rslora({ init_lora_weights: "pissa" }));
  await refuse("bad_config", /rank_pattern.*"\(a\+"/, await rslora({ rank_pattern: { "(a+": 2 } }));
  const many = Object.fromEntries(Array.from({ length: 600 }, (_, i) => [`[${i}]x`, 2]));
  await refuse("bad_config", /rank_pattern.*600 patterns/, await rslora({ rank_pattern: many }));
  await refuse("bad_config", /alpha_pattern.*must be above 0/, await rslora({ alpha_pattern: { k_proj: "2" } }));
  await refuse("bad_weights", /gate_proj.lora_A.weight.*shape \[4,64\].*\[3,64\]/, await rslora({ r: 3 }));
  await refuse("bad_weights", /no tensor/, await rslora({}, (tensor) => tensor.replace("k_proj", "qk_proj")));
  await refuse(
    "bad_weights",
    /layers.1.self_attn.k_proj.lora_A.*other half/,
    await rslora({}, (tensor) => (tensor.includes("layers.1.self_attn.k_proj.lora_B") ? null : tensor)),
  );
  await refuse(
    "bad_weights",
    /lora_magnitude_vector/,
    await rslora({}, (tensor) => tensor.replace("lora_A.weight", "lora_magnitude_vector")),
  );
  await refuse("bad_weights", /does not fit/, await rslora({}), "gpt2-tiny");
  const [config] = await rslora({});
  await refuse("not_found", /adapter_model.safetensors does not exist/, [config as File]);
  await refuse("not_found", /adapter_config.json does not exist/, [new File(["{}"], "config.json")]);
});

test("bytes of an adapted tensor are those of its whole, wherever a read begins", async () => {
  const values = Float32Array.from({ length: 131 * 64 }, (_, i) => Math.sin(i));
  const name = "model.embed_tokens.weight";
  const { tensors } = parseSafetensors(writeSafetensors({ [name]: storeFloat32(values, [131, 64]) }));
  const base = {
    tensors: new Map(
      [...tensors].map(([key, { dtype, shape, bytes }]) => [
        key,
        { name: key, dtype, shape, byteLength: bytes.length },
      ]),
    ),
    read: async (key: string, begin: number, end: number) =>
      (tensors.get(key)?.bytes ?? new Uint8Array()).slice(begin, end),
    close: async () => undefined,
  };
  const files = await adapterFiles("llama-saved", {}, (tensor) => (tensor.includes("lora_embedding") ? tensor : null));
  const adapter = await openAdapter(await openSource(files), 1);
  const config = { architecture: "llama", tie_word_embeddings: false } as Parameters<typeof withAdapters>[2];
  const adapted = withAdapters(base, [adapter], config);
  const whole = await adapted.read(name, 0, values.byteLength);
  const floats = new Float32Array(whole.slice().buffer);
  const half = async (end: string): Promise<Float32Array> => {
    const tensor = [...adapter.checkpoint.tensors.values()].find(({ name: key }) => key.endsWith(end));
    assert.ok(tensor);
    return new Float32Array((await adapter.checkpoint.read(tensor.name, 0, tensor.byteLength)).slice().buffer);
  };
  const [left, right] = [await half("embedding_A"), await half("embedding_B")];
  for (let token = 0; token < 131; token++) {
    for (let column = 0; column < 64; column++) {
      let sum = values[token * 64 + column] as number;
      // alpha 8 by rank 2
      for (let k = 0; k < 2; k++) sum += 4 * (left[k * 131 + token] as number) * (right[column * 2 + k] as number);
      assert.is(floats[token * 64 + column], Math.fround(sum));
    }
  }
  for (const [begin, end] of [
    [0, 4],
    [6, 9],
    [255, 1031],
    [4000, 4001],
  ] as const) {
    assert.equal(await adapted.read(name, begin, end), whole.slice(begin, end));
  }
});

test.run();
