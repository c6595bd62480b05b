/**
 * Finding a text in another in linear time. The host's search compares short parts quickly, but takes the product of both
 * lengths for a long part that nearly fits everywhere, such as "…aabaa…" in "aaa…".
 */

/** Longest part that the host searches for. */
const SHORT = 32;

/** The first place of a part at or after a position; -1 if there is none. Each call goes on after the place before. */
export type Find = (from: number) => number;

/** @param part not empty */
export function search(text: string, part: string): Find {
  if (part.length <= SHORT) return (from) => text.indexOf(part, from);
  return matcher(text, part, (whole) => (i) => whole.charCodeAt(i));
}

/**
 * The same from the right.
 * @returns finds the last place at or before a position
 */
export function searchLast(text: string, part: string): Find {
  if (part.length <= SHORT) return (from) => (from < 0 ? -1 : text.lastIndexOf(part, from));
  // As if both were turned around, where the last place is the first one.
  const find = matcher(text, part, (whole) => (i) => whole.charCodeAt(whole.length - 1 - i));
  const turned = (place: number): number => text.length - part.length - place;
  return (from) => {
    const found = find(Math.max(0, turned(from)));
    return found < 0 ? -1 : turned(found);
  };
}

type Units = (index: number) => number;

/** Knuth, Morris and Pratt's search. */
function matcher(text: string, part: string, unitsOf: (whole: string) => Units): Find {
  if (part.length > text.length) return () => -1;
  const [given, wanted] = [unitsOf(text), unitsOf(part)];
  const borders = bordersOf(wanted, part.length);
  return (from) => {
    let matched = 0;
    let at = from;
    for (; at < text.length && matched < part.length; at++) {
      const unit = given(at);
      while (matched > 0 && unit !== wanted(matched)) matched = borders[matched - 1] as number;
      if (unit === wanted(matched)) matched++;
    }
    return matched === part.length ? at - matched : -1;
  };
}

/** Of each beginning the length of its longest proper beginning that also ends it. */
function bordersOf(wanted: Units, length: number): Int32Array {
  const borders = new Int32Array(length);
  let border = 0;
  for (let i = 1; i < length; i++) {
    while (border > 0 && wanted(i) !== wanted(border)) border = borders[border - 1] as number;
    if (wanted(i) === wanted(border)) border++;
    borders[i] = border;
  }
  return borders;
}
