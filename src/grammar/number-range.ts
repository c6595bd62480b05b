/**
 * Numbers within bounds, as expressions over their digits, without exponents. They have at most 15 digits, so that no two of
 * them are one float64: what is below a bound as a text is below it as a number.
 */
import { all, any, byte, type Expression, empty, literal, repeat } from "./expression.ts";
import { exactly, wholesOfLength } from "./integer-range.ts";
import { digit, MOST_DIGITS } from "./json-text.ts";

/** Bounds; an open one does not belong to the numbers. */
export interface NumberBounds {
  readonly least: number;
  readonly isAbove: boolean;
  readonly most: number;
  readonly isBelow: boolean;
  /** Digits after the point, at most. */
  readonly places?: number;
}

/** A number that is not negative, digit by digit, and whether it is left out. */
interface Bound {
  readonly whole: string;
  /** Digits after the point, without zeros at their end. */
  readonly fraction: string;
  readonly isOpen: boolean;
}

/** Digits after a point: whether there may be none, and what they may be. */
interface Digits {
  readonly mayLack: boolean;
  readonly some: Expression | undefined;
}

const NONE: Digits = { mayLack: false, some: undefined };
/** Greater than every number of 15 digits. */
const BEYOND = 10 ** MOST_DIGITS;

/** @returns undefined if there are none */
export function numbersBetween({
  least,
  isAbove,
  most,
  isBelow,
  places = MOST_DIGITS,
}: NumberBounds): Expression | undefined {
  if (least > most) return undefined;
  const choices: (Expression | undefined)[] = [];
  if (least < 0) {
    // Minus nothing is nothing, and written without a sign.
    const low = most < 0 ? boundOf(-most, isBelow) : boundOf(0, true);
    const magnitude = magnitudes(low, boundOf(-least, isAbove), places);
    if (magnitude) choices.push(all(literal("-"), magnitude));
  }
  if (most >= 0) {
    const low = least >= 0 ? boundOf(least, isAbove) : boundOf(0, false);
    choices.push(magnitudes(low, boundOf(most, isBelow), places));
  }
  return anyOf(choices);
}

function boundOf(value: number, isOpen: boolean): Bound {
  if (value >= BEYOND) return { whole: String(BEYOND), fraction: "", isOpen: true };
  // Small numbers are printed with an exponent: 1.5e-7.
  const [, first = "0", rest = "", exponent = "0"] = /^(\d+)(?:\.(\d+))?(?:e-(\d+))?$/.exec(String(value)) ?? [];
  const down = Number(exponent);
  if (down === 0) return { whole: first, fraction: rest, isOpen };
  return { whole: "0", fraction: "0".repeat(down - 1) + first + rest, isOpen };
}

function magnitudes(low: Bound, high: Bound, places: number): Expression | undefined {
  const roomOf = (whole: string): number => Math.max(0, Math.min(places, MOST_DIGITS - whole.length));
  const at = (whole: string, fraction: Digits): Expression | undefined => {
    const point = fraction.some && all(literal("."), fraction.some);
    const end = anyOf([point, fraction.mayLack ? empty : undefined]);
    return end && whole.length <= MOST_DIGITS ? all(literal(whole), end) : undefined;
  };
  if (low.whole === high.whole) return at(low.whole, between(low, high, roomOf(low.whole)));
  const choices = [at(low.whole, atLeast(low, roomOf(low.whole))), at(high.whole, atMost(high, roomOf(high.whole)))];
  const [first, last] = [Number(low.whole) + 1, Number(high.whole) - 1];
  for (let length = String(first).length; first <= last && length <= String(last).length; length++) {
    const wholes = wholesOfLength(length, first, last);
    const room = roomOf("0".repeat(length));
    const point = room > 0 ? any(all(literal("."), repeat(digit, 1, room)), empty) : empty;
    choices.push(all(wholes, point));
  }
  return anyOf(choices);
}

/** Digits that are at least a bound's, at most `room` of them. */
function atLeast({ fraction, isOpen }: Omit<Bound, "whole">, room: number): Digits {
  if (fraction === "" && !isOpen) return anyDigits(room);
  if (room === 0) return NONE;
  const [first, rest] = split(fraction);
  const same = after(first, atLeast({ fraction: rest, isOpen }, room - 1));
  return { mayLack: false, some: anyOf([among(first + 1, 9, room), same]) };
}

/** Digits that are at most a bound's. */
function atMost({ fraction, isOpen }: Omit<Bound, "whole">, room: number): Digits {
  if (fraction === "") {
    if (isOpen) return NONE;
    return { mayLack: true, some: room > 0 ? repeat(exactly(0), 1, room) : undefined };
  }
  if (room === 0) return { mayLack: true, some: undefined };
  const [first, rest] = split(fraction);
  const same = after(first, atMost({ fraction: rest, isOpen }, room - 1));
  return { mayLack: true, some: anyOf([among(0, first - 1, room), same]) };
}

function between(low: Omit<Bound, "whole">, high: Omit<Bound, "whole">, room: number): Digits {
  if (low.fraction === "" && !low.isOpen) return atMost(high, room);
  if (room === 0 || high.fraction === "") return NONE;
  const [[first, rest], [last, lastRest]] = [split(low.fraction), split(high.fraction)];
  const [lower, upper] = [
    { fraction: rest, isOpen: low.isOpen },
    { fraction: lastRest, isOpen: high.isOpen },
  ];
  if (first > last) return NONE;
  if (first === last) return { mayLack: false, some: after(first, between(lower, upper, room - 1)) };
  const choices = [
    after(first, atLeast(lower, room - 1)),
    among(first + 1, last - 1, room),
    after(last, atMost(upper, room - 1)),
  ];
  return { mayLack: false, some: anyOf(choices) };
}

function split(fraction: string): readonly [first: number, rest: string] {
  return [Number(fraction[0] ?? 0), fraction.slice(1)];
}

function anyDigits(room: number): Digits {
  return { mayLack: true, some: room > 0 ? repeat(digit, 1, room) : undefined };
}

/** A digit of a range, then any others. */
function among(from: number, to: number, room: number): Expression | undefined {
  if (from > to) return undefined;
  return all(byte([0x30 + from, 0x30 + to]), repeat(digit, 0, room - 1));
}

function after(first: number, rest: Digits): Expression | undefined {
  const end = anyOf([rest.some, rest.mayLack ? empty : undefined]);
  return end && all(exactly(first), end);
}

function anyOf(choices: readonly (Expression | undefined)[]): Expression | undefined {
  const given = choices.filter((each) => each !== undefined);
  return given.length > 0 ? any(...given) : undefined;
}
