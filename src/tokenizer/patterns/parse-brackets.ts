/** Character classes in brackets: ranges, escapes, `[:names:]`, classes within classes, `&&`. */
import { ignoreCase } from "./case-fold.ts";
import { type CodeRange, CodeSet } from "./code-set.ts";
import type { Cursor } from "./cursor.ts";
import { characterEscape, classEscape } from "./escapes.ts";
import { posixClass } from "./properties.ts";

const MAX_DEPTH = 50;

/**
 * Reads a class after its opening bracket.
 * @param anyCase whether letters count as equal if they differ only in case
 */
export function parseBrackets(cursor: Cursor, anyCase: boolean, depth = 0): CodeSet {
  if (depth > MAX_DEPTH) cursor.fail("its brackets are nested too deeply");
  const negative = cursor.eat("^");
  let set: CodeSet | undefined;
  let first = true;
  do {
    const part = parsePart(cursor, anyCase, depth, first);
    set = set ? set.and(part) : part;
    first = false;
  } while (cursor.eat("&&"));
  if (!cursor.eat("]")) cursor.fail("a bracket is not closed");
  const folded = anyCase ? ignoreCase(set) : set;
  return negative ? folded.not() : folded;
}

/** The part between `[`, `&&` and `]`. */
function parsePart(cursor: Cursor, anyCase: boolean, depth: number, isFirst: boolean): CodeSet {
  const ranges: CodeRange[] = [];
  const others: CodeSet[] = [];
  // A bracket that closes nothing is a plain character.
  if (isFirst && cursor.next === "]" && cursor.source.includes("]", cursor.at + 1)) {
    cursor.at++;
    ranges.push([0x5d, 0x5d]);
  }
  while (!cursor.done && cursor.next !== "]" && !cursor.source.startsWith("&&", cursor.at)) {
    const item = parseItem(cursor, anyCase, depth);
    const isRange = cursor.next === "-" && !/^-(?:\]|&&|$)/.test(cursor.source.slice(cursor.at, cursor.at + 3));
    if (typeof item !== "number") {
      if (isRange) cursor.fail("a class of characters cannot begin a range");
      others.push(item);
    } else if (isRange) {
      cursor.at++;
      ranges.push(rangeFrom(cursor, item, parseItem(cursor, anyCase, depth)));
      // "0-9-a" is 0 to 9, a hyphen, and a.
      if (cursor.eat("-")) ranges.push([0x2d, 0x2d]);
    } else ranges.push([item, item]);
  }
  if (ranges.length === 0 && others.length === 0) cursor.fail("a class of characters is empty");
  return ranges.length === 0 ? CodeSet.union(others) : CodeSet.union([CodeSet.ofRanges(ranges), ...others]);
}

function rangeFrom(cursor: Cursor, first: number, last: number | CodeSet): CodeRange {
  if (typeof last !== "number") cursor.fail("a class of characters cannot end a range");
  if (last < first) cursor.fail("a range ends before it begins");
  return [first, last];
}

function parseItem(cursor: Cursor, anyCase: boolean, depth: number): number | CodeSet {
  const posix = cursor.match(/\[:(\^?)([a-z]{1,10}):\]/y);
  if (posix) {
    const set = posixClass(posix[2] as string);
    if (!set) cursor.fail(`there is no class ${posix[0]}`);
    return posix[1] === "^" ? set.not() : set;
  }
  if (cursor.eat("[")) return parseBrackets(cursor, anyCase, depth + 1);
  if (!cursor.eat("\\")) return cursor.take();
  const set = classEscape(cursor, true);
  if (set) return set;
  if (cursor.eat("b")) return 0x08;
  if (/[RXO]/.test(cursor.next)) cursor.fail(`\\${cursor.next} cannot be used in brackets`);
  return characterEscape(cursor);
}
