/** GPT-2's byte-level BPE, carried by the package `gpt-tokenizer`, for GPT-2 folders without tokenizer.json. */
import type { ChatRenderer } from "./chat-template.ts";
import { decodePieces, type Pieces, streamPieces } from "./pieces.ts";
import type { EncodeOptions, Tokenizer } from "./tokenizer.ts";

const END_OF_TEXT = "<|endoftext|>";
const END_OF_TEXT_ID = 50256;

/** Ids that this tokenizer can name: a GPT-2 vocabulary of at least this size has them all. */
export const GPT2_VOCAB_SIZE = 50257;

export interface Gpt2Settings {
  /** `add_bos_token` of tokenizer_config.json. GPT-2 itself adds none. */
  readonly addBos: boolean;
  readonly chat: ChatRenderer;
}

/**
 * Loads the tokenizer. The ranks are half a megabyte of JavaScript: they are imported here, when needed,
 * so that a page which runs another model does not fetch them.
 */
export async function createGpt2Tokenizer(settings: Gpt2Settings): Promise<Tokenizer> {
  const [{ encode }, { default: ranks }] = await Promise.all([
    import("gpt-tokenizer/encoding/r50k_base"),
    import("gpt-tokenizer/bpeRanks/r50k_base"),
  ]);
  const utf8 = new TextEncoder();
  const pieces: Pieces = {
    bytes(id) {
      if (id === END_OF_TEXT_ID) return utf8.encode(END_OF_TEXT);
      const piece = ranks[id];
      if (piece === undefined) return undefined;
      return typeof piece === "string" ? utf8.encode(piece) : Uint8Array.from(piece);
    },
    isSpecial: (id) => id === END_OF_TEXT_ID,
  };

  return {
    encode(text: string, options: EncodeOptions = {}): number[] {
      const ids: number[] = settings.addBos && (options.addSpecialTokens ?? true) ? [END_OF_TEXT_ID] : [];
      // Split here: the package's own handling of special tokens finds them at the start of the text only.
      text.split(END_OF_TEXT).forEach((part, index) => {
        if (index > 0) ids.push(END_OF_TEXT_ID);
        for (const id of encode(part)) ids.push(id);
      });
      return ids;
    },
    decode: (ids, options) => decodePieces(pieces, ids, options),
    stream: (options) => streamPieces(pieces, options),
    applyChatTemplate: (messages, options) => settings.chat.render(messages, options),
    bosTokenId: END_OF_TEXT_ID,
    eosTokenId: END_OF_TEXT_ID,
    vocabSize: GPT2_VOCAB_SIZE,
  };
}
