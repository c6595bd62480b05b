/** What transformers' tokenizer classes bring along, as far as GPT-2 and Llama-like checkpoints name them. */
import type { ModelConfig } from "../model-config.ts";
import type { JsonObject } from "./json.ts";

export interface ClassDefaults {
  /** Special tokens that hold where no file names them. */
  readonly tokens: Readonly<Record<string, string>>;
  /** What `add_bos_token` is for files of SentencePiece that do not say. */
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
 * The class that transformers takes for a folder, without the `Fast` that some names end with; empty for none in
 * particular. Qwen2's models have Qwen2's, whatever the files say.
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
