/** The merges of a BPE that follow from the pieces of a SentencePiece model, which lists none. */
import { SluiceError } from "../errors.ts";

export interface Piece {
  readonly text: string;
  readonly id: number;
  readonly score: number;
}

/** Maximum cost of finding the merges of all pieces, in characters compared. Real vocabularies take a hundredth. */
const MOST_WORK = 2e9;

interface Merge {
  readonly left: string;
  readonly right: string;
  readonly piece: Piece;
}

/**
 * A piece is a merge of any two others that it is made of; the piece that comes first is merged first.
 * @throws SluiceError `bad_file` for pieces so long that their merges would take minutes to find
 */
export function mergesById(pieces: readonly Piece[]): [string, string][] {
  return ordered(pieces, (a, b) => a.id - b.id);
}

/**
 * Like {@link mergesById}; the likelier piece is merged first.
 * @throws SluiceError `bad_file`
 */
export function mergesByScore(pieces: readonly Piece[]): [string, string][] {
  return ordered(pieces, (a, b) => b.score - a.score || a.id - b.id);
}

function ordered(pieces: readonly Piece[], order: (a: Piece, b: Piece) => number): [string, string][] {
  return splits(pieces)
    .sort((a, b) => order(a.piece, b.piece) || a.left.length - b.left.length)
    .map(({ left, right }) => [left, right]);
}

function splits(pieces: readonly Piece[]): Merge[] {
  if (pieces.reduce((work, { text }) => work + text.length ** 2, 0) > MOST_WORK) {
    throw new SluiceError("bad_file", "The tokenizer cannot be read: it has pieces of many thousand characters", {
      hint: "Download the file again, or give the prompt as token ids instead of text.",
    });
  }
  // Of pieces with the same text the last counts.
  const byText = new Map(pieces.map((piece) => [piece.text, piece]));
  const merges: Merge[] = [];
  for (const [text, piece] of byText) {
    for (let at = 1; at < text.length; at++) {
      const code = text.charCodeAt(at);
      if (code >= 0xdc00 && code < 0xe000) continue;
      const left = text.slice(0, at);
      const right = text.slice(at);
      if (byText.has(left) && byText.has(right)) merges.push({ left, right, piece });
    }
  }
  return merges;
}
