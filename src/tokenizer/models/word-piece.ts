/** WordPiece: the longest token that a word begins with, then the longest that continues it, and so on. */

import type { JsonObject } from "../json.ts";
import { isTokenId, malformed, noToken, readVocabulary, type TokenizerModel } from "./vocabulary.ts";

/** @throws SluiceError `bad_file` */
export function readWordPiece(config: JsonObject): TokenizerModel {
  const { unk_token = "[UNK]", continuing_subword_prefix = "##", max_input_chars_per_word: longestWord = 100 } = config;
  if (typeof unk_token !== "string" || typeof continuing_subword_prefix !== "string" || !isTokenId(longestWord)) {
    throw malformed("the WordPiece model needs texts as `unk_token` and `continuing_subword_prefix`, and a count");
  }
  const vocabulary = readVocabulary(config.vocab, "`model.vocab`");
  const unknown = vocabulary.idOf.get(unk_token);
  // No longer span can be a token, so none is tried: words may be as long as the file allows.
  let longest = 0;
  for (const token of vocabulary.idOf.keys()) longest = Math.max(longest, token.length);

  /** Undefined if some part of the word is not a token. */
  function split(word: string): number[] | undefined {
    const ids: number[] = [];
    for (let start = 0; start < word.length; ) {
      const prefix = start === 0 ? "" : continuing_subword_prefix;
      let end = Math.min(word.length, start + longest);
      let id: number | undefined;
      for (; end > start; end--) {
        if (isInsidePair(word, end)) continue;
        id = vocabulary.idOf.get(prefix + word.slice(start, end));
        if (id !== undefined) break;
      }
      if (id === undefined) return undefined;
      ids.push(id);
      start = end;
    }
    return ids;
  }

  return {
    vocabulary,
    encode(text, ids) {
      const found = countCharacters(text) > longestWord ? undefined : split(text);
      if (found) for (const id of found) ids.push(id);
      else if (unknown === undefined) throw noToken(text);
      else ids.push(unknown);
    },
  };
}

function isInsidePair(text: string, at: number): boolean {
  const code = text.charCodeAt(at);
  return at > 0 && code >= 0xdc00 && code < 0xe000;
}

function countCharacters(text: string): number {
  let count = 0;
  for (let i = 0; i < text.length; i++) if (!isInsidePair(text, i)) count++;
  return count;
}
