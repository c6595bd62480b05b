/** What follows a backslash, and `\p{…}`, inside and outside brackets. */
import type { CodeSet } from "./code-set.ts";
import type { Cursor } from "./cursor.ts";
import { property, sets } from "./properties.ts";

const controls: ReadonlyMap<string, number> = new Map([
  ["t", 0x09],
  ["n", 0x0a],
  ["v", 0x0b],
  ["f", 0x0c],
  ["r", 0x0d],
  ["a", 0x07],
  ["e", 0x1b],
]);

/**
 * The set of `\d`, `\p{…}` and similar escapes, after whose backslash the cursor is; undefined, and nothing skipped, if
 * something else follows.
 */
export function classEscape(cursor: Cursor, inBrackets: boolean): CodeSet | undefined {
  const named = cursor.match(/([pP])\{(\^?)([^{}]{1,60})\}/y);
  if (named) {
    const [, letter, caret, name] = named as unknown as [string, string, string, string];
    const set = property(name.trim(), inBrackets);
    if (!set) cursor.fail(`there is no character property ${JSON.stringify(name)}`);
    return (letter === "P") !== (caret === "^") ? set.not() : set;
  }
  if (/^[pP]\{/.test(cursor.source.slice(cursor.at, cursor.at + 2))) cursor.fail("the name of a property is damaged");
  const letter = cursor.match(/[dDsSwWhH]/y)?.[0];
  if (letter === undefined) return undefined;
  const set = shorthand(letter.toLowerCase(), inBrackets);
  return letter === letter.toLowerCase() ? set : set.not();
}

function shorthand(letter: string, inBrackets: boolean): CodeSet {
  if (letter === "d") return sets.digit();
  if (letter === "s") return sets.space();
  if (letter === "h") return sets.hexDigit();
  return inBrackets ? sets.wordInBrackets() : sets.word();
}

/** The character of an escape; the cursor is after the backslash. */
export function characterEscape(cursor: Cursor): number {
  const coded = cursor.match(
    /x\{ *([0-9A-Fa-f]{1,8}) *\}|u\{([0-9A-Fa-f]{1,8})\}|x([0-9A-Fa-f]{1,2})|u([0-9A-Fa-f]{4})/y,
  );
  if (coded)
    return checked(cursor, Number.parseInt(coded.slice(1).find((digits) => digits !== undefined) as string, 16));
  const octal = cursor.match(/[0-7]{1,3}/y);
  if (octal) return checked(cursor, Number.parseInt(octal[0], 8));
  const control = cursor.match(/(?:c|C-)([\0-\x7f])/y);
  if (control) return (control[1] as string).charCodeAt(0) & 0x1f;
  if (/[xuUcCM]/.test(cursor.next)) cursor.fail(`the escape \\${cursor.next} is damaged or not supported`);
  const code = controls.get(cursor.next);
  if (code !== undefined) cursor.at++;
  return code ?? cursor.take();
}

function checked(cursor: Cursor, code: number): number {
  if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000)) cursor.fail("an escape does not name a character");
  return code;
}
