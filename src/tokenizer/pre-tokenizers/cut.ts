/** Cutting pieces. */
import type { CodeSet } from "../patterns/code-set.ts";
import type { Piece, PreTokenize } from "../pipeline.ts";
import { type Behavior, splitAt } from "./split.ts";

export type Add = (piece: Piece) => void;

/** Cuts each piece by itself; empty pieces are left out. */
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

/** Splits a piece where there is a certain character, or one of a set. */
export function splitAtCharacters(piece: Piece, characters: string | CodeSet, behavior: Behavior, add: Add): void {
  const matches: number[] = [];
  const { text } = piece;
  for (let at = 0; at < text.length; ) {
    const code = text.codePointAt(at) as number;
    const end = at + (code > 0xffff ? 2 : 1);
    const isMatch = typeof characters === "string" ? code === characters.codePointAt(0) : characters.has(code);
    if (isMatch) matches.push(at, end);
    at = end;
  }
  splitAt(piece, matches, behavior, false, add);
}
