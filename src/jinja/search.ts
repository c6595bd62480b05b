/**
 * Finding a text in another in linear time. The host's search compares short parts quickly, but takes the product of both
 * lengths for a long part that nearly fits everywhere, such as "baaa…" in "aaa…".
 */
import type { Run } from "./run.ts";

/** Longest part that the host searches for. */
const SHORT = 32;

/** The first place of a part at or after a position; -1 if there is none. */
export type Find = (from: number) => number;

/** @param part not empty */
export function finder(run: Run, text: string, part: string): Find {
  run.scan(text.length);
  if (part.length <= SHORT) return (from) => text.indexOf(part, from);
  return matcher(run, text, part, 1);
}

/**
 * The same from the right.
 * @returns finds the last place at or before a position
 */
export function lastFinder(run: Run, text: string, part: string): Find {
  run.scan(text.length);
  if (part.length <= SHORT) return (from) => (from < 0 ? -1 : text.lastIndexOf(part, from));
  const find = matcher(run, text, part, -1);
  // Turned around, the last place is the first one.
  const turn = (place: number): number => text.length - part.length - place;
  return (from) => {
    const found = find(Math.max(0, turn(from)));
    return found < 0 ? -1 : turn(found);
  };
}

/**
 * Knuth, Morris and Pratt's search, from the left for a step of 1, and for -1 as if both texts were turned around. A call
 * goes on where the one before ended, or later.
 */
function matcher(run: Run, text: string, part: string, step: 1 | -1): Find {
  if (part.length > text.length) return () => -1;
  const unitsOf = (whole: string): ((i: number) => number) =>
    step === 1 ? (i) => whole.charCodeAt(i) : (i) => whole.charCodeAt(whole.length - 1 - i);
  const [given, wanted] = [unitsOf(text), unitsOf(part)];
  const borders = bordersOf(run, wanted, part.length);
  return (from) => {
    let matched = 0;
    let at = from;
    for (; at < text.length && matched < part.length; at++) {
      const unit = given(at);
      while (matched > 0 && unit !== wanted(matched)) matched = borders[matched - 1] as number;
      if (unit === wanted(matched)) matched++;
    }
    run.spend((at - from) >> 3);
    return matched === part.length ? at - matched : -1;
  };
}

/** Of each beginning the length of its longest proper beginning that also ends it. */
function bordersOf(run: Run, wanted: (i: number) => number, length: number): Int32Array {
  run.spend(length >> 2);
  const borders = new Int32Array(length);
  let border = 0;
  for (let i = 1; i < length; i++) {
    while (border > 0 && wanted(i) !== wanted(border)) border = borders[border - 1] as number;
    if (wanted(i) === wanted(border)) border++;
    borders[i] = border;
  }
  return borders;
}
