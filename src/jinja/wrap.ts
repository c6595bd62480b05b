/** `wordwrap`: paragraphs as Python's textwrap lays them out. */
import { failure } from "./errors.ts";
import type { Run } from "./run.ts";

/** The whitespace at which lines are broken; other whitespace, such as no-break spaces, counts as letters. */
const SPACE = /[\t\n\v\f\r ]/;
const WORD = /[\p{L}\p{N}_]/u;
const WORD_OR_MARK = /[\p{L}\p{N}_!"'&.,?]/u;
const LETTER = /\p{L}|_/u;

export interface WrapOptions {
  readonly width: number;
  readonly breakLongWords: boolean;
  readonly breakOnHyphens: boolean;
}

/** One paragraph as lines. */
export function wrapText(run: Run, text: string, options: WrapOptions): string[] {
  const { width } = options;
  if (width <= 0) throw failure("ValueError", `invalid width ${width} (must be > 0)`);
  run.spend(1 + 4 * text.length);
  const characters = Array.from(text);
  const chunks = options.breakOnHyphens ? splitWords(characters) : splitSpaces(characters);
  const lines: string[] = [];
  const isSpace = (chunk: readonly string[]): boolean => chunk.every((character) => character.trim() === "");
  let at = 0;
  while (at < chunks.length) {
    const line: string[][] = [];
    let length = 0;
    if (lines.length > 0 && isSpace(chunks[at] as string[])) at++;
    while (at < chunks.length && length + (chunks[at] as string[]).length <= width) {
      length += (chunks[at] as string[]).length;
      line.push(chunks[at++] as string[]);
    }
    const next = chunks[at];
    if (next && next.length > width) {
      if (options.breakLongWords) {
        const end = breakAt(next, width - length, options.breakOnHyphens);
        line.push(next.slice(0, end));
        chunks[at] = next.slice(end);
        run.spend(1 + (next.length >> 3));
      } else if (line.length === 0) {
        line.push(next);
        at++;
      }
    }
    if (line.length > 0 && isSpace(line.at(-1) as string[])) line.pop();
    if (line.length > 0) lines.push(line.flat().join(""));
  }
  return lines;
}

/** How much of a word that fits on no line is put on this one. */
function breakAt(word: readonly string[], space: number, onHyphens: boolean): number {
  if (!onHyphens || word.length <= space) return space;
  const hyphen = word.slice(0, space).lastIndexOf("-");
  return hyphen > 0 && word.slice(0, hyphen).some((character) => character !== "-") ? hyphen + 1 : space;
}

function splitSpaces(characters: readonly string[]): string[][] {
  const chunks: string[][] = [];
  for (const character of characters) {
    const last = chunks.at(-1);
    if (last && SPACE.test(last[0] as string) === SPACE.test(character)) last.push(character);
    else chunks.push([character]);
  }
  return chunks;
}

/** Words, which also end after a hyphen between letters and around dashes, and the whitespace between them. */
function splitWords(characters: readonly string[]): string[][] {
  return splitSpaces(characters).flatMap((chunk) => (SPACE.test(chunk[0] as string) ? [chunk] : splitWord(chunk)));
}

function splitWord(word: readonly string[]): string[][] {
  const is = (kind: RegExp, place: number): boolean =>
    place >= 0 && place < word.length && kind.test(word[place] as string);
  const dashesFrom = (place: number): number => {
    let end = place;
    while (word[end] === "-") end++;
    return end;
  };
  const parts: string[][] = [];
  let start = 0;
  for (let at = 0; at < word.length; ) {
    // A dash of several hyphens between words stands by itself.
    const dashEnd = dashesFrom(at);
    if (is(WORD_OR_MARK, at - 1) && dashEnd - at >= 2 && is(WORD, dashEnd)) {
      if (at > start) parts.push(word.slice(start, at));
      parts.push(word.slice(at, dashEnd));
      start = dashEnd;
      at = dashEnd;
      continue;
    }
    const before = is(LETTER, at - 1) && (is(LETTER, at - 2) || (word[at - 2] === "-" && is(LETTER, at - 3)));
    const after = is(LETTER, at + 1) && (is(LETTER, at + 2) || (word[at + 2] === "-" && is(LETTER, at + 3)));
    at++;
    // The text before the hyphen may be in the part before; at least one character comes before it in this part.
    if (word[at - 1] === "-" && before && after && at - 1 > start) {
      parts.push(word.slice(start, at));
      start = at;
    }
  }
  if (start < word.length) parts.push(word.slice(start));
  return parts;
}
