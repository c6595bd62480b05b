/** Models' files: configurations, weights, indices, and what is quantised. */
import { loadGenerationConfig } from "../../../src/architectures/generation-config.ts";
import { openModel } from "../../../src/architectures/open-model.ts";
import { Place } from "../../../src/arguments/place.ts";
import { fuse } from "../../../src/compile/fuse.ts";
import { openSource } from "../../../src/formats/open-source.ts";
import { parseSafetensors, type StoredTensor, writeSafetensors } from "../../../src/formats/safetensors.ts";
import type { FileSource } from "../../../src/formats/source.ts";
import { measureModel } from "../../../src/model/footprint.ts";
import { generateOptions } from "../../../src/model/generate-arguments.ts";
import { openLora } from "../../../src/model/lora.ts";
import { imaginedDevice } from "../imagined-device.ts";
import { smallGpt2, smallLlama, smallMlx, sort, stories } from "../models.ts";
import { picked } from "../picked-files.ts";
import {
  Broken,
  type Files,
  fileOf,
  folderOf,
  isRare,
  mostlySmall,
  type Random,
  type Target,
  withFiles,
} from "../target.ts";

/**
 * Opens a model as `load` does, up to the device, and reads all its weights. Now and then it measures the model too, which
 * takes longer than all else.
 */
async function readModel(files: Files, random: Random): Promise<void> {
  const source = await openSource(picked(files));
  try {
    await readOpened(source);
  } finally {
    await source.close();
  }
  if (isRare(random)) await measureModel(picked(files), { device: imaginedDevice });
}

async function readOpened(source: FileSource): Promise<void> {
  const { config, checkpoint, graph } = await openModel(source, () => undefined);
  await loadGenerationConfig(source, config, () => undefined);
  fuse(graph);
  for (const [name, { byteLength }] of checkpoint.tensors) {
    const bytes = await checkpoint.read(name, 0, byteLength);
    if (bytes.length !== byteLength) throw new Broken(`${name} has ${byteLength} bytes, and ${bytes.length} are read`);
  }
  for (const [name, matrix] of checkpoint.quantized ?? []) {
    const { codes } = await matrix.readRows(checkpoint, 0, matrix.outputs, undefined);
    if (codes.length !== matrix.outputs * matrix.inputs) throw new Broken(`${name} has ${codes.length} codes`);
  }
}

/** The weights in two files, with the index that says which tensor is in which. */
function sharded(files: Files): Files {
  const { tensors } = parseSafetensors(files.get("model.safetensors") as Uint8Array);
  const names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
  const parts = [new Map<string, StoredTensor>(), new Map<string, StoredTensor>()];
  const weightMap: Record<string, string> = {};
  [...tensors].forEach(([name, tensor], i) => {
    parts[i % 2]?.set(name, tensor);
    weightMap[name] = names[i % 2] as string;
  });
  const rest = new Map([...files].filter(([name]) => name !== "model.safetensors"));
  return withFiles(rest, {
    [names[0] as string]: writeSafetensors(parts[0] as Map<string, StoredTensor>),
    [names[1] as string]: writeSafetensors(parts[1] as Map<string, StoredTensor>),
    "model.safetensors.index.json": JSON.stringify({ metadata: { total_size: 1 }, weight_map: weightMap }),
  });
}

export const modelFolder: Target = {
  name: "model",
  seeds: () => mostlySmall([smallGpt2, smallLlama], [sort, stories]),
  edits: (path) => path.endsWith(".json"),
  read: readModel,
};

/** Sampling settings and ends of texts, of which what is unusable is left out with a notice. */
export const generationConfig: Target = {
  name: "generation_config",
  seeds: () =>
    [smallGpt2, smallLlama].map((files) =>
      withFiles(files, {
        "generation_config.json": JSON.stringify({
          ...{ bos_token_id: 1, eos_token_id: [2, 0], do_sample: true, temperature: 0.7, top_k: 20, top_p: 0.9 },
          ...{ min_p: 0.05, repetition_penalty: 1.1, max_new_tokens: 40, stop_strings: ["a", "b"] },
        }),
      }),
    ),
  edits: (path) => path === "generation_config.json",
  read: async (files) => {
    const source = await openSource(picked(files));
    const { config } = await openModel(source, () => undefined);
    const { eos_token_ids: ends, defaults } = await loadGenerationConfig(source, config, () => undefined);
    await source.close();
    const ids = ends ?? [];
    if (!ids.every((id) => Number.isInteger(id) && id >= 0)) throw new Broken(`a text ends at ${ids}`);
    // What the library offers as defaults, it takes as options.
    generateOptions.read(defaults, new Place("generate", "options"));
  },
};

export const weightIndex: Target = {
  name: "index",
  seeds: () => mostlySmall([smallGpt2, smallLlama].map(sharded), [sort, stories].map(sharded)),
  edits: (path) => path.endsWith(".index.json"),
  read: readModel,
};

export const weights: Target = {
  name: "safetensors",
  seeds: () => mostlySmall([smallGpt2, sharded(smallLlama)], [sort, sharded(sort)]),
  edits: (path) => path.endsWith(".safetensors"),
  read: readModel,
};

const ggufFile = (name: string): Files => fileOf(`test/data/gguf/${name}.gguf`);

export const gguf: Target = {
  name: "gguf",
  seeds: () => mostlySmall([ggufFile("qwen2")], [ggufFile("llama"), ggufFile("stories260K-Q8_0")]),
  hasJson: false,
  read: readModel,
};

export const mlx: Target = {
  name: "mlx",
  seeds: () => [smallMlx],
  read: readModel,
};

/** The models that test/data/lora's adapters are for. */
export const lora: Target = {
  name: "lora",
  seeds: () => [folderOf("test/data/lora/llama-patterns"), folderOf("test/data/lora/llama-rslora")],
  read: async (files) => {
    const opened = await openLora([picked(files)], {});
    await opened?.close();
  },
};
