/** Text as Python counts it: by code points, with Python's whitespace and line ends. */
import type { Run } from "./run.ts";
import { type Find, search, searchLast } from "./search.ts";

/** Four old separators, which Python counts as whitespace in addition to Unicode's. */
const SEPARATORS = "\x1c-\x1f";
/** Whitespace for `str.isspace` and `\s`. */
const SPACE = new RegExp(`[\\p{White_Space}${SEPARATORS}]`, "u");
const LINE_END = new RegExp(`\\r\\n|[\\n-\\r\\x85\\u2028\\u2029${"\x1c-\x1e"}]`, "g");
const SURROGATE = /[\ud800-\udfff]/;

export function isSpace(character: string | undefined): boolean {
  if (character === undefined) return false;
  const code = character.charCodeAt(0);
  return code < 0x80
    ? code === 0x20 || (code >= 9 && code <= 13) || (code >= 0x1c && code < 0x20)
    : SPACE.test(character);
}

/** The characters; one may take two UTF-16 units. */
export function charactersOf(run: Run, text: string): readonly string[] {
  run.admitList(text.length);
  return Array.from(text);
}

/** Whether every character takes one UTF-16 unit, so that JavaScript counts like Python. */
export function isPlain(text: string): boolean {
  return !SURROGATE.test(text);
}

export function lengthOf(run: Run, text: string): number {
  run.scan(text.length);
  if (isPlain(text)) return text.length;
  let length = 0;
  for (const _ of text) length++;
  return length;
}

/** The position of the code point at `index`, in UTF-16 units. */
export function unitsBefore(text: string, index: number): number {
  let units = 0;
  for (let i = 0; i < index && units < text.length; i++) units += (text.codePointAt(units) as number) > 0xffff ? 2 : 1;
  return units;
}

/** The code points before a position in UTF-16 units. */
export function pointsBefore(text: string, units: number): number {
  if (isPlain(text)) return units;
  let points = 0;
  for (const _ of text.slice(0, units)) points++;
  return points;
}

/** Characters [begin, end). */
export function cut(text: string, begin: number, end: number): string {
  if (isPlain(text)) return text.slice(begin, Math.max(begin, end));
  const from = unitsBefore(text, begin);
  return text.slice(from, Math.max(from, unitsBefore(text, end)));
}

/** Order by code points, which is not that of UTF-16 units beyond U+FFFF. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return ordinal(x) - ordinal(y);
  }
  return a.length - b.length;
}

/** Surrogates encode code points above all others. */
function ordinal(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit < 0xe000 ? unit + 0x2000 : unit - 0x800;
}

/** Strips characters of a set, or whitespace for null, at the ends. */
export function strip(run: Run, text: string, set: string | null, left: boolean, right: boolean): string {
  run.scan(text.length);
  const characters = set === null ? null : new Set(set);
  const drops = (unit: string): boolean => (characters ? characters.has(unit) : isSpace(unit));
  let begin = 0;
  let end = text.length;
  while (left && begin < end) {
    const character = String.fromCodePoint(text.codePointAt(begin) as number);
    if (!drops(character)) break;
    begin += character.length;
  }
  while (right && end > begin) {
    const wide = end - begin > 1 && (text.codePointAt(end - 2) as number) > 0xffff;
    const character = text.slice(wide ? end - 2 : end - 1, end);
    if (!drops(character)) break;
    end -= character.length;
  }
  run.spend(begin + text.length - end);
  return text.slice(begin, end);
}

/** Splits at runs of whitespace; at most `most` times, or without limit for a negative number. */
export function splitSpace(run: Run, text: string, most: number): string[] {
  run.spend(1 + (text.length >> 1));
  const parts: string[] = [];
  let at = 0;
  for (;;) {
    while (at < text.length && isSpace(text[at])) at++;
    if (at >= text.length) return parts;
    if (most >= 0 && parts.length >= most) {
      parts.push(text.slice(at));
      return parts;
    }
    const begin = at;
    while (at < text.length && !isSpace(text[at])) at++;
    run.spend(1);
    parts.push(text.slice(begin, at));
  }
}

/** The same from the right. */
export function splitSpaceRight(run: Run, text: string, most: number): string[] {
  run.spend(1 + (text.length >> 1));
  const parts: string[] = [];
  let end = text.length;
  for (;;) {
    while (end > 0 && isSpace(text[end - 1])) end--;
    if (end === 0) return parts.reverse();
    if (most >= 0 && parts.length >= most) {
      parts.push(text.slice(0, end));
      return parts.reverse();
    }
    const stop = end;
    while (end > 0 && !isSpace(text[end - 1])) end--;
    run.spend(1);
    parts.push(text.slice(end, stop));
  }
}

/** Finds a part that is not empty, from the left: see {@link search}. */
export function finder(run: Run, text: string, part: string): Find {
  payForSearch(run, text, part);
  return search(text, part);
}

/** The same from the right. */
export function lastFinder(run: Run, text: string, part: string): Find {
  payForSearch(run, text, part);
  return searchLast(text, part);
}

function payForSearch(run: Run, text: string, part: string): void {
  run.scan(text.length);
  if (part.length <= text.length) run.spend(part.length >> 2);
}

/** Splits at a separator that is not empty. */
export function splitAt(run: Run, text: string, separator: string, most: number): string[] {
  const find = finder(run, text, separator);
  const parts: string[] = [];
  let at = 0;
  while (most < 0 || parts.length < most) {
    const found = find(at);
    if (found < 0) break;
    run.spend(1);
    parts.push(text.slice(at, found));
    at = found + separator.length;
  }
  parts.push(text.slice(at));
  return parts;
}

export function splitAtRight(run: Run, text: string, separator: string, most: number): string[] {
  const find = lastFinder(run, text, separator);
  const parts: string[] = [];
  let end = text.length;
  while (most < 0 || parts.length < most) {
    const found = find(end - separator.length);
    if (found < 0) break;
    run.spend(1);
    parts.push(text.slice(found + separator.length, end));
    end = found;
  }
  parts.push(text.slice(0, end));
  return parts.reverse();
}

/** Lines as in `str.splitlines`. */
export function linesOf(run: Run, text: string, keepEnds: boolean): string[] {
  run.spend(1 + (text.length >> 1));
  const lines: string[] = [];
  let at = 0;
  for (const match of text.matchAll(LINE_END)) {
    const after = match.index + match[0].length;
    lines.push(text.slice(at, keepEnds ? after : match.index));
    at = after;
  }
  if (at < text.length) lines.push(text.slice(at));
  return lines;
}

/** Repeats a text. */
export function repeat(run: Run, text: string, times: bigint): string {
  if (times <= 0n || text === "") return "";
  run.admitText(text.length * Number(times));
  const result = text.repeat(Number(times));
  run.scan(result.length);
  return result;
}

/** Occurrences that do not overlap, as in `str.count`. */
export function countOf(run: Run, text: string, part: string): number {
  if (part === "") return lengthOf(run, text) + 1;
  const find = finder(run, text, part);
  let count = 0;
  for (let at = find(0); at >= 0; at = find(at + part.length)) {
    count++;
    run.spend(1);
  }
  return count;
}

/** Replaces the first `most` occurrences, or all for a negative number. */
export function replaceText(run: Run, text: string, old: string, by: string, most: number): string {
  if (most === 0) return text;
  if (old === "") {
    run.spend(4 * text.length);
    const characters = charactersOf(run, text);
    const gaps = most < 0 ? characters.length + 1 : Math.min(most, characters.length + 1);
    run.admitText(text.length + gaps * by.length);
    run.scan(gaps * by.length);
    const parts = characters.map((character, i) => (i < gaps ? by + character : character));
    return parts.join("") + (gaps > characters.length ? by : "");
  }
  const parts = splitAt(run, text, old, most);
  if (parts.length === 1) return text;
  run.admitText(text.length + (parts.length - 1) * (by.length - old.length));
  run.scan((parts.length - 1) * by.length);
  return parts.join(by);
}

/** UTF-16 units of a text that are searched at once. */
const PIECE = 1 << 16;

/**
 * Replaces every match of a pattern for one character. The host collects all matches before it calls back; so that callbacks
 * can refuse a text that has too many, it gets the text in pieces.
 */
export function replaceEach(text: string, pattern: RegExp, by: (character: string) => string): string {
  if (text.length <= PIECE) return text.replace(pattern, by);
  const parts: string[] = [];
  for (let at = 0; at < text.length; ) {
    const isCut = at + PIECE < text.length && (text.charCodeAt(at + PIECE) & 0xfc00) === 0xdc00;
    const end = at + PIECE + (isCut ? 1 : 0);
    parts.push(text.slice(at, end).replace(pattern, by));
    at = end;
  }
  return parts.join("");
}

/** Escapes HTML like markupsafe. */
export function escapeHtml(run: Run, text: string): string {
  run.scan(text.length);
  if (!/[&<>'"]/.test(text)) return text;
  const escaped = replaceEach(text, /[&<>'"]/g, (character) => {
    run.spend(2);
    return HTML[character] as string;
  });
  run.admitText(escaped.length);
  run.scan(escaped.length);
  return escaped;
}

const HTML: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  "'": "&#39;",
  '"': "&#34;",
};
