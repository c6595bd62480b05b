/** Small models to check bundles against, and bundles made in a few words. */

import { readConfig } from "../../src/architectures/read-config.ts";
import { type StoredTensor, storeFloat32 } from "../../src/formats/safetensors.ts";
import type { Bundle } from "../../src/interventions/bundle-types.ts";
import { baseOf } from "../../src/interventions/compose.ts";
import type { Manifest } from "../../src/interventions/manifest.ts";
import type { ModelShape } from "../../src/interventions/sites.ts";

/** 3 layers, d 8, 2 heads, f 16. */
export const gpt2 = readConfig(
  { model_type: "gpt2", n_layer: 3, n_embd: 8, n_head: 2, n_inner: 16, vocab_size: 11, n_positions: 32 },
  "gpt2",
);

/** 2 layers, d 8, 4 query heads that share 2 key/value heads, dh 2, f 12. */
export const llama = readConfig(
  {
    model_type: "llama",
    num_hidden_layers: 2,
    hidden_size: 8,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    intermediate_size: 12,
    vocab_size: 11,
  },
  "llama",
);

export function vector(...values: readonly number[]): StoredTensor {
  return storeFloat32(Float32Array.from(values), [values.length]);
}

export function filled(shape: readonly number[], value = 0.5): StoredTensor {
  return storeFloat32(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(value), shape);
}

/** A bundle whose manifest is given as any JSON at all. */
export function bundleOf(
  config: ModelShape,
  stages: readonly unknown[],
  tensors: Readonly<Record<string, StoredTensor>> = {},
  extra: Readonly<Record<string, unknown>> = {},
): Bundle {
  return {
    file: "b.safetensors",
    manifest: { name: "test", base: baseOf(config), stages, ...extra } as unknown as Manifest,
    tensors: new Map(Object.entries(tensors)),
    metadata: new Map(),
  };
}
