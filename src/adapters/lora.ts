/**
 * LoRA adapters in PEFT's format, merged into float weights while these are read: W + scale·B·A. Source: Hu et al., LoRA
 * (2021); the names of tensors and fields are those of peft 0.21.
 */
import { SluiceError } from "../errors.ts";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";

import { openWeightsFile } from "../formats/huggingface.ts";
import { type FileSource, readJson } from "../formats/source.ts";

import { showText } from "../show.ts";
import { type LoraConfig, readLoraConfig } from "./lora-config.ts";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";

/** Maximum bytes of adapter_config.json. */
const MAX_CONFIG_BYTES = 2_000_000;

/** An opened adapter: its settings, and its tensors by the module that they belong to. */
export interface Adapter {
  readonly label: string;
  readonly config: LoraConfig;
  readonly checkpoint: Checkpoint;
  /** By module path, such as `model.layers.0.self_attn.q_proj`. */
  readonly modules: ReadonlyMap<string, AdaptedModule>;
  /** Multiplies what the adapter adds. */
  readonly scale: number;
}

/** The tensors of a module, by what they are. */
export type AdaptedModule = Partial<Record<AdapterPart, TensorInfo>>;

/** A and B of linear layers and of embeddings, B's bias, and trained weights and biases that replace the model's. */
export type AdapterPart = "A" | "B" | "embeddingA" | "embeddingB" | "biasB" | "weight" | "bias";

/** The ends of tensors' names. PEFT leaves out the adapter's name when it saves; `default` is what it calls the first. */
const PARTS: readonly (readonly [AdapterPart, RegExp])[] = [
  ["A", /\.lora_A(?:\.default)?\.weight$/],
  ["B", /\.lora_B(?:\.default)?\.weight$/],
  ["biasB", /\.lora_B(?:\.default)?\.bias$/],
  ["embeddingA", /\.lora_embedding_A(?:\.default)?$/],
  ["embeddingB", /\.lora_embedding_B(?:\.default)?$/],
  ["weight", /(?:\.base_layer|\.modules_to_save(?:\.default)?)?\.weight$/],
  ["bias", /(?:\.base_layer|\.modules_to_save(?:\.default)?)?\.bias$/],
];

const PREFIX = "base_model.model.";

/**
 * Opens an adapter's folder. It takes over the source: closing the adapter's checkpoint closes it.
 * @param scale multiplies what the adapter adds
 * @throws SluiceError `not_found`, `bad_file`, `bad_config`; `bad_weights` for tensors that no LoRA has
 */
export async function openAdapter(source: FileSource, scale: number, signal?: AbortSignal): Promise<Adapter> {
  try {
    return await readAdapter(source, scale, signal);
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function readAdapter(source: FileSource, scale: number, signal: AbortSignal | undefined): Promise<Adapter> {
  if (!(await source.exists(CONFIG, signal))) {
    throw new SluiceError("not_found", `${source.describe(CONFIG)} does not exist: an adapter needs one`, {
      hint: "Give the folder or id of an adapter in PEFT's format.",
    });
  }
  const json = await readJson(source, CONFIG, signal, MAX_CONFIG_BYTES);
  const config = readLoraConfig(json, source.describe(CONFIG));
  if (!(await source.exists(WEIGHTS, signal))) {
    throw new SluiceError("not_found", `${source.describe(WEIGHTS)} does not exist`, {
      hint: "Adapters are read from safetensors: load it with PEFT and save_pretrained(…, safe_serialization=True).",
    });
  }
  const checkpoint = await openWeightsFile(source, WEIGHTS, signal);
  return { label: source.label, config, checkpoint, modules: modulesOf(checkpoint), scale };
}

function modulesOf(checkpoint: Checkpoint): ReadonlyMap<string, AdaptedModule> {
  const modules = new Map<string, AdaptedModule>();
  for (const tensor of checkpoint.tensors.values()) {
    const [part, end] = PARTS.find(([, pattern]) => pattern.test(tensor.name)) ?? [];
    if (part === undefined || end === undefined || !tensor.name.startsWith(PREFIX)) {
      throw new SluiceError(
        "bad_weights",
        `${checkpoint.label}: the tensor ${showText(tensor.name)} is not one that a LoRA for a language model has`,
        { hint: "Merge the adapter with PEFT, and load the folder that this gives." },
      );
    }
    const module = tensor.name.slice(PREFIX.length).replace(end, "");
    modules.set(module, { ...modules.get(module), [part]: tensor });
  }
  if (modules.size === 0) throw new SluiceError("bad_weights", `${checkpoint.label} holds an adapter without tensors`);
  return modules;
}
