/** Properties of transformers' tokenizer classes that GPT-2 and Llama-like checkpoints name. */
import type { ModelConfig } from "../model-config.ts";
import type { JsonObject } from "./json.ts";

export interface ClassDefaults {
  /** Special tokens that apply if no file names them. */
  readonly tokens: Readonly<Record<string, string>>;
  /** Default of `add_bos_token` for SentencePiece files that do not set it. */
  readonly addBos?: boolean;
}

const END_OF_TEXT = "<|endoftext|>";
const LLAMA: ClassDefaults = { tokens: { bos_token: "<s>", eos_token: "</s>", unk_token: "<unk>" }, addBos: true };

const CLASSES: ReadonlyMap<string, ClassDefaults> = new Map([
  ["GPT2Tokenizer", { tokens: { bos_token: END_OF_TEXT, eos_token: END_OF_TEXT, unk_token: END_OF_TEXT } }],
  ["GPTNeoXTokenizer", { tokens: { bos_token: END_OF_TEXT, eos_token: END_OF_TEXT, unk_token: END_OF_TEXT } }],
  ["Qwen2Tokenizer", { tokens: { eos_token: END_OF_TEXT, unk_token: END_OF_TEXT, pad_token: END_OF_TEXT } }],
  ["LlamaTokenizer", LLAMA],
  ["CodeLlamaTokenizer", LLAMA],
  [
    "GemmaTokenizer",
    { tokens: { bos_token: "<bos>", eos_token: "<eos>", unk_token: "<unk>", pad_token: "<pad>" }, addBos: true },
  ],
]);

const NONE: ClassDefaults = { tokens: {} };

/**
 * The class that transformers uses for a folder, without the suffix `Fast`; empty for no
 * particular one. Qwen2's models have Qwen2's, regardless of the files.
 */
export function tokenizerClass(
  config: JsonObject,
  { architecture, model_type }: Pick<ModelConfig, "architecture" | "model_type">,
): string {
  if (model_type === "qwen2" || model_type === "qwen3") return "Qwen2Tokenizer";
  if (typeof config.tokenizer_class === "string") return config.tokenizer_class.replace(/Fast$/, "");
  return architecture === "gpt2" ? "GPT2Tokenizer" : "";
}

export function classDefaults(name: string): ClassDefaults {
  return CLASSES.get(name) ?? NONE;
}
