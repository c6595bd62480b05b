/** GPT-2's own byte-level BPE, for GPT-2 folders without tokenizer files. */

import { byteCharacters } from "./byte-characters.ts";
import { gpt2Merges } from "./gpt2-merges.gen.ts";
import type { JsonObject } from "./json.ts";
import { bpeModel } from "./models/bpe.ts";
import { PairTable } from "./models/pair-table.ts";
import { type TokenizerModel, Vocabulary } from "./models/vocabulary.ts";

/** Number of ids: a GPT-2 vocabulary of at least this size has them all. */
export const GPT2_VOCAB_SIZE = 50257;

/** GPT-2's tokenizer.json without the model. */
export const gpt2Definition: JsonObject = {
  pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true },
  decoder: { type: "ByteLevel" },
  added_tokens: [{ content: "<|endoftext|>", special: true }],
};

/** The model, from the merges that scripts/embed-gpt2.mjs wrote down. */
export function gpt2Model(): TokenizerModel {
  // GPT-2 numbers the bytes by the code points of their characters.
  const tokens = [...byteCharacters].sort();
  const packed = atob(gpt2Merges);
  const count = packed.length / 4;
  const ranks = new PairTable(count);
  const merged = new Int32Array(count);
  const idAt = (at: number): number => packed.charCodeAt(at) + 256 * packed.charCodeAt(at + 1);
  for (let rank = 0; rank < count; rank++) {
    const left = idAt(rank * 4);
    const right = idAt(rank * 4 + 2);
    ranks.set(left, right, rank);
    merged[rank] = tokens.length;
    tokens.push(`${tokens[left]}${tokens[right]}`);
  }
  tokens.push("<|endoftext|>");
  return bpeModel(new Vocabulary(new Map(tokens.map((token, id) => [token, id]))), { ranks, merged }, {});
}
