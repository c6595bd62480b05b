/** The `model` of a tokenizer, which turns a piece of text into ids. */

import { show } from "../../show.ts";
import { isObject } from "../json.ts";
import { readBpe } from "./bpe.ts";
import { readUnigram } from "./unigram.ts";
import { malformed, type TokenizerModel } from "./vocabulary.ts";
import { readWordLevel } from "./word-level.ts";
import { readWordPiece } from "./word-piece.ts";

/**
 * @param config the `model` field of a tokenizer.json
 * @throws SluiceError `bad_file` for a model that is malformed or of another type
 */
export function readModel(config: unknown): TokenizerModel {
  if (!isObject(config)) throw malformed("`model` is missing");
  // Old files without a type are recognised by their fields.
  const type = config.type ?? (Array.isArray(config.merges) ? "BPE" : Array.isArray(config.vocab) ? "Unigram" : "");
  switch (type) {
    case "BPE":
      return readBpe(config);
    case "Unigram":
      return readUnigram(config);
    case "WordLevel":
      return readWordLevel(config);
    case "WordPiece":
      return readWordPiece(config);
    case "":
      return "max_input_chars_per_word" in config ? readWordPiece(config) : readWordLevel(config);
    default:
      throw malformed(`the model ${show(type)} is not BPE, Unigram, WordLevel or WordPiece`);
  }
}
