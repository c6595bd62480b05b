/** Cutting pieces. */
import type { Piece, PreTokenize } from "../pipeline.ts";

export type Add = (piece: Piece) => void;

/** Cuts each piece by itself; empty pieces are dropped. */
export function each(cut: (piece: Piece, add: Add) => void): PreTokenize {
  return (pieces) => {
    const result: Piece[] = [];
    const add: Add = (piece) => {
      if (piece.text !== "") result.push(piece);
    };
    for (const piece of pieces) if (piece.text !== "") cut(piece, add);
    return result;
  };
}

/** A part of a piece. */
export function slice(piece: Piece, start: number, end: number): Piece {
  if (start === 0 && end === piece.text.length) return piece;
  return { text: piece.text.slice(start, end), head: Math.max(0, Math.min(piece.head, end) - start) };
}
