/** Bundles, and the files of other projects that become bundles. */
import { readConfig } from "../../../src/architectures/read-config.ts";
import { openFiles } from "../../../src/formats/file-list.ts";
import { writeGgufVectors } from "../../../src/formats/gguf/write-vectors.ts";
import { readBundle, readBundleFrom, writeBundle } from "../../../src/interventions/bundle.ts";
import type { Bundle } from "../../../src/interventions/bundle-types.ts";
import { compose, shapeOf } from "../../../src/interventions/compose.ts";
import { type ImportOptions, importBundle } from "../../../src/interventions/import/import-bundle.ts";
import { inspectBundle } from "../../../src/interventions/inspect.ts";
import { mergeBundles } from "../../../src/interventions/merge.ts";
import type { ModelShape } from "../../../src/interventions/sites.ts";
import { Broken, type Files, fileOf, isRare, mostlySmall, type Random, type Target } from "../target.ts";

/** A model that is as wide, deep and named as a foreign file says. */
function shape(hidden: number, layers: number, type = "llama"): ModelShape {
  const sizes = { num_hidden_layers: layers, hidden_size: hidden, intermediate_size: 2 * hidden, vocab_size: 11 };
  return readConfig({ model_type: type, num_attention_heads: 4, num_key_value_heads: 2, ...sizes }, "config.json");
}

const stories = readConfig(
  { model_type: "gpt2", n_layer: 4, n_embd: 96, n_head: 6, vocab_size: 11, n_positions: 32 },
  "config.json",
);

/** Reads a bundle, fits it to its own model, prints it, writes it, and reads that again. */
function useBundle(bytes: Uint8Array, file: string): void {
  const bundle = readBundle(bytes, file);
  inspectBundle(bundle);
  compose(shapeOf(bundle.manifest.base), [{ bundle }]);
  const again = writeBundle(mergeBundles([{ bundle }], "again"));
  if (again.length === 0) throw new Broken("a bundle is written as nothing");
  readBundle(again, "again.safetensors");
}

/** What is read in parts, as from a disk, must be what is read whole, or refused in the same words. */
async function readInParts(bytes: Uint8Array<ArrayBuffer>, file: string): Promise<void> {
  const said = (error: unknown): string => (error as Error).message;
  const parts = await readBundleFrom(openFiles([new File([bytes], file)]), file, file).catch(said);
  let whole: Bundle | string;
  try {
    whole = readBundle(bytes, file);
  } catch (error) {
    whole = said(error);
  }
  const known = (read: Bundle | string) =>
    typeof read === "string" ? read : JSON.stringify([read.manifest, [...read.metadata], [...read.tensors.keys()]]);
  if (known(parts) !== known(whole)) throw new Broken("a bundle read in parts is not the bundle read whole");
  if (typeof parts === "string" || typeof whole === "string") return;
  for (const [name, { bytes: content }] of whole.tensors) {
    const other = parts.tensors.get(name)?.bytes;
    if (!other || Buffer.compare(other, content) !== 0)
      throw new Broken(`the bytes of ${name} depend on how they are read`);
  }
}

async function imported(names: readonly string[], config: ModelShape, choices: ImportOptions = {}): Promise<Files> {
  const files = new Map(names.flatMap((name) => [...fileOf(`test/data/foreign/${name}`)]));
  const bundle = await importBundle(files, names[0] as string, config, choices);
  return new Map([["bundle.safetensors", writeBundle(bundle)]]);
}

const bundleSeeds = [
  fileOf("test/data/gpt-nano-sort-circuit.safetensors", "bundle.safetensors"),
  await imported(["eap-ig-layout-gpt2-stories.json"], stories),
  await imported(["torch/layer-list.pt"], shape(8, 4)),
  await imported(
    [0, 1].map((layer) => `aura-layout-transformer.h.${layer}.mlp.c_proj.statedict`),
    stories,
  ),
];

export const bundle: Target = {
  name: "bundle",
  seeds: () => bundleSeeds,
  read: async (files) => {
    for (const [name, bytes] of files) {
      await readInParts(new Uint8Array(bytes), name);
      useBundle(bytes, name);
    }
  },
};

/** Foreign files of one format: the paths of each set, and the model and choices that they are imported with. */
function importing(
  name: string,
  sets: readonly (readonly [names: readonly string[], config: ModelShape, choices?: ImportOptions])[],
  hasJson: boolean,
): Target {
  const first = (names: readonly string[]): string => (names[0] as string).replace(/^.*\//, "");
  return {
    name,
    seeds: () => sets.map(([names]) => new Map(names.flatMap((each) => [...fileOf(`test/data/foreign/${each}`)]))),
    hasJson,
    read: async (files, random) => {
      // A set is known by its first file's name, which no edit changes.
      const set = sets.find(([names]) => files.has(first(names)));
      if (!set) throw new Error("These files are of no set");
      const [names, config, choices = {}] = set;
      const result = await importBundle(files, first(names), config, { ...choices, onWarning: () => undefined });
      useImported(result, random);
    },
  };
}

/** What every import writes is read too, which takes longer than the import, now and then. */
function useImported(bundle: Bundle, random: Random): void {
  const bytes = writeBundle(bundle);
  if (isRare(random)) useBundle(bytes, "imported.safetensors");
}

export const torchFiles = importing(
  "torch",
  [
    [["easysteer-sharp-f16.pt"], shape(4096, 32), { layers: [3] }],
    [["torch/layer-list.pt"], shape(8, 4)],
    [["torch/layer-dict-int-keys.pt"], shape(8, 6)],
    [["torch/scalar-and-none.pt"], shape(8, 16)],
    [["aura-layout-transformer.h.0.mlp.c_proj.statedict"], stories],
    [["torch/legacy-not-zip.pt"], stories, { layers: [1] }],
  ],
  false,
);

export const numpyFiles = importing("numpy", [[["easysteer-sharp-f16.npy"], shape(4096, 32), { layers: [3] }]], false);

export const edgeFiles = importing(
  "edges",
  [
    [["eap-ig-layout-gpt2-stories.json"], stories],
    [["edge-pruning-layout-gpt2-stories.json"], stories],
    [["acdc-tuples-as-json.json"], stories],
    [["ibm-layout.svec"], stories],
  ],
  true,
);

/** As wide and deep as the published ones are for a 7B, and a small one. */
const vectorModels = { large: shape(4096, 32), small: shape(32, 4) };

const smallVectors = writeGgufVectors(
  new Map<string, string | number>([
    ["general.architecture", "controlvector"],
    ["controlvector.model_hint", "llama"],
    ["controlvector.layer_count", 3],
  ]),
  new Map([1, 2, 3].map((layer) => [`direction.${layer}`, Float32Array.from({ length: 32 }, (_, i) => i / 8 - layer)])),
);

export const controlVector: Target = {
  name: "control_vector",
  seeds: () =>
    mostlySmall(
      [new Map([["small.gguf", smallVectors]])],
      ["create", "reason"].map((name) => fileOf(`test/data/control-vectors/${name}.gguf`)),
    ),
  hasJson: false,
  read: async (files, random) => {
    const [[name, bytes]] = files as unknown as [[string, Uint8Array]];
    const config = name === "small.gguf" ? vectorModels.small : vectorModels.large;
    const result = await importBundle(files, name, config, { onWarning: () => undefined });
    if (bytes.length === 0) throw new Broken("an empty file is a control vector");
    useImported(result, random);
  },
};
