/** The pre-tokenizer `Split`, and splitting at matches, which others share. */
import type { CodeSet } from "../patterns/code-set.ts";
import { Effort, type Pattern } from "../patterns/pattern.ts";
import { lengthOf, type Piece, type PreTokenize } from "../pipeline.ts";
import { type Add, each, slice } from "./cut.ts";

/**
 * What happens to a match: it is removed; it is a piece; it joins the piece before or after it; adjacent matches are
 * one piece.
 */
export const behaviors = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"] as const;

export type Behavior = (typeof behaviors)[number];

/** @param invert whether matches and the text between them swap roles */
export function split(pattern: Pattern, behavior: Behavior, invert: boolean): PreTokenize {
  return (pieces) => {
    const effort = new Effort(lengthOf(pieces), pattern.size);
    return each((piece, add) => splitAt(piece, pattern.matches(piece.text, effort), behavior, invert, add))(pieces);
  };
}

/** A part of a piece: a match, or the text between matches. A match can be empty. */
interface Stretch {
  start: number;
  end: number;
  readonly isMatch: boolean;
}

/** @param matches their begins and ends, one after another */
export function splitAt(piece: Piece, matches: readonly number[], behavior: Behavior, invert: boolean, add: Add): void {
  const stretches = stretchesOf(piece.text.length, matches, invert);
  for (const { start, end, isMatch } of combine(stretches, behavior)) {
    if (behavior !== "Removed" || !isMatch) add(slice(piece, start, end));
  }
}

function stretchesOf(length: number, matches: readonly number[], invert: boolean): Stretch[] {
  const stretches: Stretch[] = [];
  let done = 0;
  for (let match = 0; match < matches.length; match += 2) {
    const start = matches[match] as number;
    const end = matches[match + 1] as number;
    if (start > done) stretches.push({ start: done, end: start, isMatch: invert });
    stretches.push({ start, end, isMatch: !invert });
    done = end;
  }
  if (done < length) stretches.push({ start: done, end: length, isMatch: invert });
  return stretches;
}

function combine(stretches: Stretch[], behavior: Behavior): Stretch[] {
  switch (behavior) {
    case "Removed":
    case "Isolated":
      return stretches;
    case "Contiguous":
      return join(stretches, (stretch, before) => stretch.isMatch === before.isMatch);
    case "MergedWithPrevious":
      return join(stretches, (stretch, before) => stretch.isMatch && !before.isMatch);
    case "MergedWithNext":
      return join(stretches.reverse(), (stretch, after) => stretch.isMatch && !after.isMatch).reverse();
  }
}

/** Joins parts to the one before in the list. */
function join(stretches: readonly Stretch[], belongs: (stretch: Stretch, neighbour: Stretch) => boolean): Stretch[] {
  const joined: Stretch[] = [];
  stretches.forEach((stretch, index) => {
    const neighbour = stretches[index - 1];
    const last = joined.at(-1);
    if (neighbour && last && belongs(stretch, neighbour)) {
      last.start = Math.min(last.start, stretch.start);
      last.end = Math.max(last.end, stretch.end);
    } else joined.push({ ...stretch });
  });
  return joined;
}

/** Splits a piece at a certain character, or at one of a set. */
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
