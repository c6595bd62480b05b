/** Names what a folder is, if it is not a model in Hugging Face's layout. */
import { SluiceError } from "../errors.ts";
import { showText } from "../show.ts";
import { parseJson } from "./json.ts";
import type { FileSource } from "./source.ts";

/** Requested all at once if a source cannot be listed, as over HTTP. */
const TELLING = [
  "adapter_config.json",
  "params.json",
  "model_index.json",
  "tokenizer.model",
  "tokenizer.json",
  "pytorch_model.bin",
  "pytorch_model.bin.index.json",
  "tf_model.h5",
  "flax_model.msgpack",
];

/** Maximum number of subfolders searched for a model. */
const MOST_LOOKS = 50;

const WEIGHTS = /\.(?:bin|bin\.index\.json|gguf|h5|msgpack|pt|pth|ckpt|onnx|pb|safetensors)$/;

interface Kind {
  readonly what: string;
  readonly hint: string;
}

/** The error for a folder without config.json. */
export async function noConfig(source: FileSource, signal?: AbortSignal): Promise<SluiceError> {
  const names = await namesIn(source, signal);
  const kind = (await kindOf(source, names, signal)) ?? (await nested(source, names, signal)) ?? bare(source, names);
  return new SluiceError("not_found", `${source.describe("config.json")} does not exist: ${kind.what}`, {
    hint: kind.hint,
  });
}

/** The error for a folder without safetensors weights. */
export async function noWeights(source: FileSource, wanted: string, signal?: AbortSignal): Promise<SluiceError> {
  const names = await namesIn(source, signal);
  const present = names.filter((name) => WEIGHTS.test(name));
  const there = present.length > 0 ? `, only ${listed(present)}` : "";
  const kind = await kindOf(source, names, signal);
  const what = kind ? `: ${kind.what}` : "";
  return new SluiceError("not_found", `${source.label} holds ${wanted}${there}${what}`, {
    hint: kind?.hint ?? adviceFor(present),
  });
}

async function namesIn(source: FileSource, signal: AbortSignal | undefined): Promise<readonly string[]> {
  const listed = await source.list();
  if (listed) return listed;
  const found = await Promise.all(TELLING.map((name) => source.exists(name, signal)));
  return TELLING.filter((_, i) => found[i]);
}

async function kindOf(
  source: FileSource,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Kind | null> {
  const has = (pattern: RegExp): boolean => names.some((name) => pattern.test(name));
  if (has(/^adapter_config\.json$/)) {
    const base = await baseOfAdapter(source, signal);
    return {
      what: `it is a PEFT adapter${base === null ? "" : ` of ${base}`}, not a whole model`,
      hint:
        "Merge it into its base model: PeftModel.from_pretrained(BASE, ADAPTER).merge_and_unload()" +
        ".save_pretrained(NEW_FOLDER).",
    };
  }
  if (has(/^params\.json$/)) {
    return {
      what: "it holds a model in its maker's own layout (params.json and consolidated weights)",
      hint: "Use the repository of the same model in Hugging Face's layout (often with -hf in its name), or convert it with transformers.",
    };
  }
  if (has(/^model_index\.json$/)) {
    return { what: "it is a pipeline of diffusers, which makes images", hint: "Give the folder of a language model." };
  }
  return null;
}

/** The model that an adapter was made for, if stated. */
async function baseOfAdapter(source: FileSource, signal: AbortSignal | undefined): Promise<string | null> {
  const path = "adapter_config.json";
  try {
    const bytes = await source.readAll(path, 1 << 20, signal);
    const json = parseJson(new TextDecoder().decode(bytes), source.describe(path));
    const base = (json as { base_model_name_or_path?: unknown } | null)?.base_model_name_or_path;
    return typeof base === "string" && base !== "" ? showText(base) : null;
  } catch (error) {
    if (error instanceof SluiceError && error.code === "aborted") throw error;
    // The name is optional: a damaged adapter is still an adapter.
    return null;
  }
}

/** A folder that contains the model's folder: Hugging Face's cache, or a download with everything one level down. */
async function nested(
  source: FileSource,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Kind | null> {
  if (names.includes("snapshots") && names.includes("refs")) {
    return {
      what: "it is a model's folder in Hugging Face's cache, which holds one folder per revision",
      hint: `Give the folder of a revision, such as ${source.describe("snapshots")}/REVISION.`,
    };
  }
  const folders = new Set(names.slice(0, MOST_LOOKS).map((name) => name.split("/")[0] as string));
  const found: string[] = [];
  for (const folder of folders) if (await source.exists(`${folder}/config.json`, signal)) found.push(folder);
  const [first] = found;
  if (first === undefined) return null;
  const what = found.length === 1 ? `the model is in its folder ${first}` : `it holds the models ${listed(found)}`;
  return { what, hint: `Give ${source.describe(first)}${found.length === 1 ? "" : ", or another of them"}.` };
}

function bare(source: FileSource, names: readonly string[]): Kind {
  const weights = names.filter((name) => WEIGHTS.test(name));
  if (weights.length > 0) return { what: `it holds only ${listed(weights)}`, hint: adviceFor(weights, true) };
  if (names.some((name) => /^tokenizer\.(?:model|json)$/.test(name))) {
    return {
      what: "it holds a tokenizer but no model",
      hint: "Give the folder that also holds config.json and the safetensors files.",
    };
  }
  if (WEIGHTS.test(source.label)) {
    return {
      what: "the address is that of a file",
      hint: "Give the address of the folder that holds config.json and the safetensors files.",
    };
  }
  return {
    what: "it holds no model",
    hint: "Give the folder or address that directly holds config.json and the safetensors files.",
  };
}

/** What to do with weights that are not `model.safetensors`. */
function adviceFor(present: readonly string[], withoutConfig = false): string {
  if (present.some((name) => name.endsWith(".safetensors"))) {
    return withoutConfig
      ? "Add the model's config.json, which describes the weights."
      : "A single file of weights must be called model.safetensors: rename it, if it is a Hugging Face model's.";
  }
  if (present.some((name) => name.endsWith(".gguf"))) {
    return "Give one of the GGUF files as the model.";
  }
  if (present.length > 0) {
    return "Convert it with transformers: AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER).";
  }
  return "Give the folder or address that directly holds config.json and the safetensors files.";
}

function listed(names: readonly string[]): string {
  return names
    .slice(0, 5)
    .map((name) => showText(name))
    .join(", ");
}
