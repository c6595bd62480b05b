/** Good and bad files of one bundle each, in test/data/bundle-cases.json. The Python package is tested on the same. */
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type StoredTensor, storeFloat32, writeSafetensors } from "../../src/formats/safetensors.ts";
import { readBundle, writeBundle } from "../../src/interventions/bundle.ts";
import { baseOf, compose } from "../../src/interventions/compose.ts";
import { inspectBundle } from "../../src/interventions/inspect.ts";
import type { ModelConfig } from "../../src/model-config.ts";
import cases from "../data/bundle-cases.json" with { type: "json" };
import { refusal } from "../formats/refusal.ts";
import { gpt2, llama } from "./model-configs.ts";

/** A tensor in words; NaN and Infinity, for which JSON has no number, are written as text. */
interface WrittenTensor {
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly fill?: number | string;
  readonly values?: readonly (number | string)[];
}

interface BundleCase {
  readonly case: string;
  readonly model: "gpt2" | "llama";
  readonly stages: unknown;
  readonly tensors: Readonly<Record<string, WrittenTensor>>;
  /** Fields of the base that differ from the model's. */
  readonly base?: object;
  /** Further fields of the manifest, or others in their place. */
  readonly extra?: object;
  /** In place of the usual metadata. */
  readonly metadata?: Readonly<Record<string, string>>;
  /** What the message says; absent: the bundle is good. */
  readonly refused?: readonly string[];
}

const models: Readonly<Record<string, ModelConfig>> = { gpt2, llama };

function fileOf({ model, stages, tensors, base, extra, metadata }: BundleCase): Uint8Array {
  const manifest = { name: "test", base: { ...baseOf(models[model] as ModelConfig), ...base }, stages, ...extra };
  const usual = { format: "sluice.interventions/1", manifest: JSON.stringify(manifest) };
  const stored = new Map(Object.entries(tensors).map(([name, tensor]) => [name, storedTensor(tensor)]));
  return writeSafetensors(stored, metadata ?? usual);
}

function storedTensor({ dtype, shape, fill = 0, values }: WrittenTensor): StoredTensor {
  const count = shape.reduce((a, b) => a * b, 1);
  const data = Float32Array.from({ length: count }, (_, i) => Number(values?.[i] ?? fill));
  const wide = storeFloat32(data, shape);
  if (dtype === "F32") return wide;
  if (dtype === "BF16") {
    return { dtype, shape, bytes: wide.bytes.filter((_, i) => i % 4 >= 2) };
  }
  const halves = data.every((value) => value === 0.5) ? Uint16Array.from(data, () => 0x3800) : undefined;
  if (dtype === "F16" && halves) return { dtype, shape, bytes: new Uint8Array(halves.buffer) };
  return { dtype, shape, bytes: new Uint8Array(count * (dtype === "I64" ? 8 : 4)) };
}

for (const each of cases.cases as readonly BundleCase[]) {
  const { model, refused } = each;
  const check = () => {
    const bundle = readBundle(fileOf(each), "b.safetensors");
    compose(models[model] as ModelConfig, [{ bundle }]);
    return bundle;
  };
  if (refused) {
    test(`refused: ${each.case}`, async () => {
      await refusal("bad_bundle", check, ...refused);
    });
  } else {
    test(`accepted: ${each.case}`, () => {
      const bundle = check();
      assert.equal(readBundle(writeBundle(bundle), "b.safetensors"), bundle);
      assert.ok(inspectBundle(bundle).includes(bundle.manifest.stages[0]?.id ?? "no stage"));
    });
  }
}

test.run();
