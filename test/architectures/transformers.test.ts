/** This engine reads configurations like transformers: scripts/transformers-fixtures.py. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { readConfig } from "../../src/architectures/read-config.ts";
import { inverseFrequencies, ropeTable } from "../../src/architectures/rope.ts";
import { type StoredTensor, storeFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import type { Model } from "../../src/model/model.ts";
import { testDevice } from "../support/device.ts";
import { readJson } from "../support/files.ts";
import { load } from "../support/load.ts";

interface RopeCase {
  readonly title: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly frequencies: readonly number[];
  readonly long?: { readonly positions: number; readonly frequencies: readonly number[] };
  readonly attention_factor: number;
}

interface LogitsCase {
  readonly title: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Of the last three ids. */
  readonly logits: readonly (readonly number[])[];
}

const ropes = await readJson<{ readonly cases: readonly RopeCase[] }>("test/data/transformers/rope.json");
const models = await readJson<{ readonly ids: readonly number[]; readonly cases: readonly LogitsCase[] }>(
  "test/data/transformers/logits.json",
);

for (const { title, config, frequencies, long, attention_factor } of ropes.cases) {
  test(`rotary frequencies: ${title}`, () => {
    const { rope, head_dim } = readConfig(config, "config.json");
    assert.ok(rope);
    // transformers computes them in float32.
    const equal = (found: Float64Array, wanted: readonly number[]): void => {
      assert.is(found.length, wanted.length);
      for (const [i, value] of wanted.entries()) assert.ok(Math.abs((found[i] as number) - value) <= 2e-6 * value);
    };
    equal(inverseFrequencies(rope, head_dim, 1), frequencies);
    if (long) equal(inverseFrequencies(rope, head_dim, long.positions), long.frequencies);
    const [cos = 0] = ropeTable(rope, head_dim, 1);
    assert.ok(Math.abs(cos - attention_factor) < 1e-6 * attention_factor);
  });
}

/** The same numbers as `weights` in scripts/transformers-fixtures.py. */
function weightsOf(name: string, shape: readonly number[]): StoredTensor {
  const isGain = /norm/.test(name) && name.endsWith("weight");
  const [scale, shift] = isGain ? [0.25, 1] : [0.5, 0];
  let state = 2166136261;
  for (const byte of new TextEncoder().encode(name)) state = Math.imul(state ^ byte, 16777619) >>> 0;
  const values = Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return (((state >>> 16) - 32768) / 32768) * scale + shift;
  });
  return storeFloat32(values, shape);
}

for (const { title, config, shapes, logits } of models.cases) {
  test(`logits: ${title}`, async () => {
    const tensors = new Map(Object.entries(shapes).map(([name, shape]) => [name, weightsOf(name, shape)]));
    const files = [
      new File([JSON.stringify(config)], "config.json"),
      new File([writeSafetensors(tensors)], "model.safetensors"),
    ];
    const model = await load(files, { device: await testDevice(), plan: "reference" });
    try {
      const { data, shape } = await model.logits(models.ids);
      const [rows = 0, width = 0] = shape;
      const wanted = logits.flat();
      const found = data.subarray((rows - logits.length) * width);
      const largest = Math.max(...wanted.map(Math.abs));
      for (const [i, value] of wanted.entries()) assert.ok(Math.abs((found[i] as number) - value) < 2e-5 * largest);
      const fused = tensors.get("model.layers.1.self_attn.qkv_proj.weight");
      if (fused) await checkQueries(model, fused);
    } finally {
      model.dispose();
    }
  });
}

/** Captured queries are W_q times the normed row, in the stored order, however much of a head is rotated. */
async function checkQueries(model: Model, { bytes }: StoredTensor): Promise<void> {
  const captured = await model.capture(models.ids, ["attn_norm.1", "attn_q.1", "attn_k.1"]);
  const weight = new Float32Array(bytes.buffer);
  const { hidden_size: d, num_attention_heads: H, num_key_value_heads: G, head_dim } = model.config;
  const last = models.ids.length - 1;
  const row = (site: string, width: number) => captured.get(site)?.data.subarray(last * width) as Float32Array;
  const input = row("attn_norm.1", d);
  const projected = [...row("attn_q.1", H * head_dim), ...row("attn_k.1", G * head_dim)];
  for (const [n, value] of projected.entries()) {
    const sum = input.reduce((total, x, i) => total + x * (weight[n * d + i] as number), 0);
    assert.ok(Math.abs(value - sum) < 1e-5 * (1 + Math.abs(sum)), `output ${n}: ${value}, not ${sum}`);
  }
}

test.run();
