/** Other projects' files for tests, and the bundles that are made of them. */
import * as assert from "uvu/assert";
import { readConfig } from "../../src/architectures/read-config.ts";
import { toFloat32 } from "../../src/formats/safetensors.ts";
import { readBundle, writeBundle } from "../../src/interventions/bundle.ts";
import type { Bundle } from "../../src/interventions/bundle-types.ts";
import { compose } from "../../src/interventions/compose.ts";
import { type ImportOptions, importBundle } from "../../src/interventions/import/import-bundle.ts";
import type { ModelShape } from "../../src/interventions/sites.ts";
import { readBytes } from "../support/files.ts";

export const FOLDER = "test/data/foreign";

export const llamaLike = (hidden: number, layers: number, type = "llama"): ModelShape =>
  readConfig(
    {
      model_type: type,
      num_hidden_layers: layers,
      hidden_size: hidden,
      num_attention_heads: 4,
      num_key_value_heads: 2,
      intermediate_size: 2 * hidden,
      vocab_size: 11,
    },
    type,
  );

export const stories = readConfig(
  { model_type: "gpt2", n_layer: 4, n_embd: 96, n_head: 6, vocab_size: 11, n_positions: 32 },
  "gpt2",
);
export interface Result {
  readonly bundle: Bundle;
  readonly warnings: string;
}

/** The bundle of files of the samples, as it is read back from its own file. */
export async function imported(
  names: readonly string[],
  config: ModelShape,
  options: ImportOptions = {},
  name = names[0] ?? "",
): Promise<Result> {
  const files = new Map<string, Uint8Array>();
  for (const each of names) files.set(each, await readBytes(`${FOLDER}/${each.replace("#", "%23")}`));
  return made(files, config, options, name);
}

export async function made(
  files: ReadonlyMap<string, Uint8Array>,
  config: ModelShape,
  options: ImportOptions = {},
  name = [...files.keys()][0] ?? "",
): Promise<Result> {
  const warnings: string[] = [];
  const bundle = await importBundle(files, name, config, { ...options, onWarning: (text) => warnings.push(text) });
  const read = readBundle(writeBundle(bundle), "made.safetensors");
  compose(config, [{ bundle: read }]);
  return { bundle: read, warnings: warnings.join("\n") };
}

export const json = (name: string, value: unknown): ReadonlyMap<string, Uint8Array> =>
  new Map([[name, new TextEncoder().encode(JSON.stringify(value))]]);

export function values({ tensors }: Bundle, name: string): number[] {
  const found = tensors.get(name);
  assert.ok(found, `${name} is among ${[...tensors.keys()].slice(0, 8)}`);
  return [...toFloat32(found)];
}
