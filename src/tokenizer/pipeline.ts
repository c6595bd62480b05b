/** The data that the steps of a tokenizer pass on. */

/** A piece of text on its way to the model. */
export interface Piece {
  /** Well-formed UTF-16: no lone surrogates. */
  readonly text: string;
  /**
   * How many of the first UTF-16 units descend from the very first character of the input; 0 for pieces that begin
   * later. Metaspace's `prepend_scheme: "first"` marks the piece if it is not 0. A count rather than a flag, because
   * a piece is cut further: of "ﬁ" as "fi", both letters begin the input.
   */
  readonly head: number;
}

/** Rewrites the text of a piece. */
export type Normalize = (piece: Piece) => Piece;

/** Cuts pieces into smaller ones, and may rewrite them. No resulting piece is empty. */
export type PreTokenize = (pieces: readonly Piece[]) => Piece[];

/** The text with U+FFFD for each lone surrogate, which UTF-8 cannot represent. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, "\ufffd");
}

/** The UTF-16 units of all pieces. */
export function lengthOf(pieces: readonly Piece[]): number {
  return pieces.reduce((length, { text }) => length + text.length, 0);
}
