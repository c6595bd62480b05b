/** WordLevel: each piece is one token. */

import { show } from "../../show.ts";
import type { JsonObject } from "../json.ts";
import { malformed, noToken, readVocabulary, type TokenizerModel } from "./vocabulary.ts";

/** @throws SluiceError `bad_file` */
export function readWordLevel(config: JsonObject): TokenizerModel {
  const vocabulary = readVocabulary(config.vocab, "`model.vocab`");
  const unk = config.unk_token ?? undefined;
  if (unk !== undefined && typeof unk !== "string") throw malformed(`\`model.unk_token\` is ${show(unk)}, not a text`);
  const unknown = unk === undefined ? undefined : vocabulary.idOf.get(unk);
  return {
    vocabulary,
    encode(text, ids) {
      const id = vocabulary.idOf.get(text) ?? unknown;
      if (id === undefined) throw noToken(text);
      ids.push(id);
    },
  };
}
