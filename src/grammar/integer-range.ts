/** Whole numbers within bounds, as expressions over their digits. */
import { all, any, byte, type Expression, literal, repeat } from "./expression.ts";
import { digit, MOST_DIGITS } from "./json-text.ts";

const GREATEST = 10 ** MOST_DIGITS - 1;

/** Whole numbers from `least` to `most`, both included, of at most 15 digits; undefined if there are none. */
export function integersBetween(least: number, most: number): Expression | undefined {
  const low = Math.max(Math.ceil(least), -GREATEST);
  const high = Math.min(Math.floor(most), GREATEST);
  if (low > high) return undefined;
  const choices: Expression[] = [];
  if (low < 0) choices.push(all(literal("-"), naturals(Math.max(1, -high), -low)));
  if (high >= 0) choices.push(naturals(Math.max(0, low), high));
  return any(...choices);
}

/** Numbers from `low` to `high`, which are not negative. */
function naturals(low: number, high: number): Expression {
  const choices: Expression[] = [];
  for (let length = String(low).length; length <= String(high).length; length++) {
    choices.push(wholesOfLength(length, low, high));
  }
  return any(...choices);
}

/** Those of `low` to `high`, which are not negative, that have a number of digits; there are some. */
export function wholesOfLength(length: number, low: number, high: number): Expression {
  const from = length === String(low).length ? String(low) : `1${"0".repeat(length - 1)}`;
  const to = length === String(high).length ? String(high) : "9".repeat(length);
  return sameLength(from, to);
}

/** Digits between two of the same length. */
function sameLength(from: string, to: string): Expression {
  if (/^0*$/.test(from) && /^9*$/.test(to)) return repeat(digit, from.length, from.length);
  const [first, last] = [digitOf(from), digitOf(to)];
  const [fromRest, toRest] = [from.slice(1), to.slice(1)];
  if (first === last) return all(exactly(first), sameLength(fromRest, toRest));
  const choices: Expression[] = [
    all(exactly(first), sameLength(fromRest, "9".repeat(fromRest.length))),
    all(exactly(last), sameLength("0".repeat(toRest.length), toRest)),
  ];
  if (last - first > 1)
    choices.push(all(byte([0x31 + first, 0x2f + last]), repeat(digit, fromRest.length, fromRest.length)));
  return any(...choices);
}

function digitOf(text: string): number {
  return text.charCodeAt(0) - 0x30;
}

/** A digit. */
export function exactly(value: number): Expression {
  return byte([0x30 + value, 0x30 + value]);
}
