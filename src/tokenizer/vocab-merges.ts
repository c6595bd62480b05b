/** Makes a tokenizer.json from `vocab.json` and `merges.txt`, as GPT-2 and Qwen2 write them. */
import type { JsonObject } from "./json.ts";

/** Of transformers' Qwen2Tokenizer. */
const QWEN2_SPLIT =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

/**
 * @param vocab the parsed vocab.json
 * @param merges the text of merges.txt
 * @param qwen2 whether to split and normalise like Qwen2, otherwise like GPT-2
 */
export function vocabMergesDefinition(vocab: JsonObject, merges: string, qwen2: boolean): JsonObject {
  const bytes = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  return {
    ...(qwen2 && { normalizer: { type: "NFC" } }),
    pre_tokenizer: qwen2
      ? {
          type: "Sequence",
          pretokenizers: [
            { type: "Split", pattern: { Regex: QWEN2_SPLIT }, behavior: "Isolated", invert: false },
            { ...bytes, use_regex: false },
          ],
        }
      : { ...bytes, use_regex: true },
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab, merges: mergeLines(merges) },
  };
}

function mergeLines(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line !== "" && !line.startsWith("#version"));
}
