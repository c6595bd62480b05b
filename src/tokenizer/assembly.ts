/** A tokenizer from its parts: text through added tokens, normaliser, pre-tokenizer and model to ids, and back. */

import type { AddedToken, FoundToken } from "./added-tokens.ts";
import type { ChatRenderer } from "./chat-template.ts";
import { streamTokens, type TokenTexts } from "./decode-stream.ts";
import { type DecoderStep, decodeTokens, tokenBytes } from "./decoder.ts";
import type { TokenizerModel } from "./models/vocabulary.ts";
import type { Piece } from "./pipeline.ts";
import type { PostProcess } from "./post-processor.ts";
import type { DecodeOptions, EncodeOptions, StreamOptions, TextStream, Tokenizer } from "./tokenizer.ts";

export interface TokenizerParts {
  readonly model: TokenizerModel;
  readonly added: readonly AddedToken[];
  /** Finds the added tokens of a text and normalises the text between them. */
  readonly split: (text: string) => readonly (Piece | FoundToken)[];
  readonly preTokenize: ((pieces: readonly Piece[]) => readonly Piece[]) | undefined;
  readonly postProcess: PostProcess;
  readonly decoder: readonly DecoderStep[];
  readonly chat: ChatRenderer;
  readonly bosTokenId: number | undefined;
  readonly eosTokenId: number | undefined;
}

export function assembleTokenizer(parts: TokenizerParts): Tokenizer {
  const { model, added, postProcess, decoder, bosTokenId, eosTokenId } = parts;
  const { vocabulary } = model;
  const addedTexts = new Map(added.map(({ id, content }) => [id, content]));
  const specials = new Map(added.filter(({ special }) => special).map(({ id, content }) => [id, content]));
  const specialTexts = new Set(specials.values());

  /** The text of a token; undefined for ids without text and for omitted ones. */
  function tokenOf(id: number, skipSpecial: boolean): string | undefined {
    const token = addedTexts.get(id) ?? vocabulary.tokenOf(id);
    return skipSpecial && token !== undefined && specialTexts.has(token) ? undefined : token;
  }

  function encodeText(text: string): number[] {
    const ids: number[] = [];
    for (const part of parts.split(text)) {
      if ("id" in part) ids.push(part.id);
      else
        for (const piece of parts.preTokenize?.([part]) ?? [part]) if (piece.text !== "") model.encode(piece.text, ids);
    }
    return ids;
  }

  // Ids around a text may be of no token: config.json names BOS, and post-processors state ids beside names.
  let greatest = -1;
  for (const id of postProcess([], true)) greatest = Math.max(greatest, id);
  for (const id of vocabulary.idOf.values()) greatest = Math.max(greatest, id);
  for (const { id } of added) greatest = Math.max(greatest, id);

  return {
    encode(text: string, options: EncodeOptions = {}): number[] {
      const ids = encodeText(text);
      const framed = postProcess(ids, options.addSpecialTokens ?? true);
      const isDoubled =
        bosTokenId !== undefined && ids[0] === bosTokenId && framed[0] === bosTokenId && framed[1] === bosTokenId;
      if (!isDoubled || framed.length === ids.length) return framed;
      options.onNotice?.(
        `The text itself begins with ${addedTexts.get(bosTokenId) ?? "BOS"}, so the tokenizer adds no second one`,
      );
      return framed.slice(1);
    },
    decode(ids: readonly number[], { skipSpecialTokens = true }: DecodeOptions = {}): string {
      const tokens = ids.map((id) => tokenOf(id, skipSpecialTokens)).filter((token) => token !== undefined);
      return decodeTokens(decoder, tokens);
    },
    stream(options: StreamOptions = {}): TextStream {
      const { skipSpecialTokens = true, context = [] } = options;
      const texts = streamTokens(decoder);
      const stream = new IdStream(texts, (id) => tokenOf(id, skipSpecialTokens));
      for (const id of context) stream.push(id);
      texts.mark();
      return stream;
    },
    applyChatTemplate: (messages, options) => parts.chat.render(messages, options),
    tokenBytes(id: number): Uint8Array | undefined {
      const token = tokenOf(id, true);
      return token === undefined ? undefined : tokenBytes(decoder, token);
    },
    ...(bosTokenId !== undefined && { bosTokenId }),
    ...(eosTokenId !== undefined && { eosTokenId }),
    specialTokens: specials,
    vocabSize: greatest + 1,
  };
}

class IdStream implements TextStream {
  readonly #texts: TokenTexts;
  readonly #tokenOf: (id: number) => string | undefined;

  constructor(texts: TokenTexts, tokenOf: (id: number) => string | undefined) {
    this.#texts = texts;
    this.#tokenOf = tokenOf;
  }

  push(id: number): string {
    const token = this.#tokenOf(id);
    return token === undefined ? "" : this.#texts.push(token);
  }

  end(): string {
    return this.#texts.end();
  }
}
