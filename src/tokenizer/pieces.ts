/**
 * Ids to text by way of bytes. Every token stands for some bytes, a character may be spread over several
 * tokens, and one UTF-8 decoder runs along the sequence. Decoding a whole sequence is streaming it to the
 * end, so the two cannot differ, and neither looks at a token twice.
 */
import type { DecodeOptions, StreamOptions, TextStream } from "./tokenizer.ts";

/** What the tokens of one vocabulary stand for. */
export interface Pieces {
  /**
   * The bytes a token adds, or undefined for an id outside the vocabulary.
   * @param first no token before it added anything: SentencePiece drops the space in front of the first word
   */
  bytes(id: number, first: boolean): Uint8Array | undefined;
  isSpecial(id: number): boolean;
  /** Up to `count` of this character are cut from the beginning of the whole text. */
  readonly stripStart?: { readonly character: string; readonly count: number };
}

/** Streams ids through a vocabulary, as `Tokenizer.stream` says. */
export function streamPieces(pieces: Pieces, options: StreamOptions = {}): TextStream {
  const stream = new PieceStream(pieces, options.skipSpecialTokens ?? true);
  for (const id of options.context ?? []) stream.push(id);
  return stream;
}

/** The text of a whole sequence. */
export function decodePieces(pieces: Pieces, ids: readonly number[], options: DecodeOptions = {}): string {
  const stream = new PieceStream(pieces, options.skipSpecialTokens ?? true);
  let text = "";
  for (const id of ids) text += stream.push(id);
  return text + stream.end();
}

class PieceStream implements TextStream {
  readonly #pieces: Pieces;
  readonly #skipSpecial: boolean;
  // A byte order mark inside generated text is text: the decoder must not swallow it.
  readonly #utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
  #first = true;
  #toStrip: number;

  constructor(pieces: Pieces, skipSpecial: boolean) {
    this.#pieces = pieces;
    this.#skipSpecial = skipSpecial;
    this.#toStrip = pieces.stripStart?.count ?? 0;
  }

  push(token: number): string {
    if (this.#skipSpecial && this.#pieces.isSpecial(token)) return "";
    const bytes = this.#pieces.bytes(token, this.#first);
    if (!bytes) return "";
    this.#first = false;
    return this.#strip(this.#utf8.decode(bytes, { stream: true }));
  }

  end(): string {
    return this.#strip(this.#utf8.decode());
  }

  #strip(text: string): string {
    const rule = this.#pieces.stripStart;
    if (!rule || this.#toStrip === 0 || text === "") return text;
    let start = 0;
    while (this.#toStrip > 0 && text.startsWith(rule.character, start)) {
      start += rule.character.length;
      this.#toStrip--;
    }
    if (start < text.length) this.#toStrip = 0;
    return text.slice(start);
  }
}
