/** `add_prefix_space` of tokenizer_config.json, which transformers applies to tokenizer.json. */
import { isObject, type JsonObject } from "./json.ts";

/** Classes that make their own byte-level step: without a space, unless it is requested. */
const BYTE_LEVEL = ["GPT2Tokenizer", "GPTNeoXTokenizer", "Qwen2Tokenizer"];

/**
 * @param definition a tokenizer.json
 * @param stated the value of `add_prefix_space`
 * @param className transformers' class; for others than those of GPT-2, Qwen2 and Llama the definition stays as it is
 */
export function withPrefixSpace(definition: JsonObject, stated: unknown, className: string): JsonObject {
  if (BYTE_LEVEL.includes(className)) {
    return { ...definition, pre_tokenizer: withByteLevel(definition.pre_tokenizer, stated === true, 0) };
  }
  // Llama's files have the space by default, in one of two places, and remove it at the end.
  const isLlama = className === "LlamaTokenizer" || className === "CodeLlamaTokenizer";
  if (!isLlama || stated !== false) return definition;
  return {
    ...definition,
    normalizer: without(definition.normalizer, "normalizers", (step) => step.type === "Prepend"),
    pre_tokenizer: withoutScheme(definition.pre_tokenizer),
    decoder: without(definition.decoder, "decoders", (step) => step.type === "Strip" && step.content === " "),
  };
}

/** Sequences nest; deeper ones than this are refused when they are compiled. */
const DEEPEST = 64;

function withByteLevel(step: unknown, addPrefixSpace: boolean, depth: number): unknown {
  if (!isObject(step) || depth > DEEPEST) return step;
  if (step.type === "ByteLevel") return { ...step, add_prefix_space: addPrefixSpace };
  if (step.type !== "Sequence" || !Array.isArray(step.pretokenizers)) return step;
  return { ...step, pretokenizers: step.pretokenizers.map((each) => withByteLevel(each, addPrefixSpace, depth + 1)) };
}

function withoutScheme(step: unknown): unknown {
  if (!isObject(step) || step.type !== "Metaspace") return step;
  const { add_prefix_space: _, ...rest } = step;
  return { ...rest, prepend_scheme: "never" };
}

/** A step, or the steps of a sequence, without unwanted ones. */
function without(step: unknown, field: string, unwanted: (step: JsonObject) => boolean): unknown {
  if (!isObject(step)) return step;
  if (unwanted(step)) return null;
  const steps = step[field];
  if (step.type !== "Sequence" || !Array.isArray(steps)) return step;
  return { ...step, [field]: steps.filter((each: unknown) => !(isObject(each) && unwanted(each))) };
}
