/** WordLevel: each piece is one token. */

import type { JsonObject } from "../json.ts";
import { noToken, readVocabulary, type TokenizerModel } from "./vocabulary.ts";

/** @throws SluiceError `bad_file` */
export function readWordLevel(config: JsonObject): TokenizerModel {
  const vocabulary = readVocabulary(config.vocab, "`model.vocab`");
  const unknown = typeof config.unk_token === "string" ? vocabulary.idOf.get(config.unk_token) : undefined;
  return {
    vocabulary,
    encode(text, ids) {
      const id = vocabulary.idOf.get(text) ?? unknown;
      if (id === undefined) throw noToken(text);
      ids.push(id);
    },
  };
}
