/** The syntax of JSON as expressions: RFC 8259, with spaces and digits bounded so that no text goes on for ever. */
import {
  all,
  any,
  byte,
  type Expression,
  empty,
  inTurn,
  literal,
  many,
  oneAmong,
  oneOf,
  optional,
  Rule,
  repeat,
} from "./expression.ts";

const continuation = byte([0x80, 0xbf]);

/** A character beyond ASCII. */
const wide = any(
  all(byte([0xc2, 0xdf]), continuation),
  all(byte([0xe0, 0xe0]), byte([0xa0, 0xbf]), continuation),
  all(byte([0xe1, 0xec], [0xee, 0xef]), continuation, continuation),
  all(byte([0xed, 0xed]), byte([0x80, 0x9f]), continuation),
  all(byte([0xf0, 0xf0]), byte([0x90, 0xbf]), continuation, continuation),
  all(byte([0xf1, 0xf3]), continuation, continuation, continuation),
  all(byte([0xf4, 0xf4]), byte([0x80, 0x8f]), continuation, continuation),
);

export const digit = byte([0x30, 0x39]);
export const hexDigit = byte([0x30, 0x39], [0x41, 0x46], [0x61, 0x66]);

/** A character written as itself within quotes. */
export const plainCharacter = any(byte([0x20, 0x21], [0x23, 0x5b], [0x5d, 0x7f]), wide);

/** A backslash and what follows; surrogates, which say nothing alone, are left out. */
const escaped = all(
  literal("\\"),
  any(
    oneOf('"\\/bfnrt'),
    all(
      literal("u"),
      any(
        all(byte([0x30, 0x39], [0x41, 0x43], [0x45, 0x46], [0x61, 0x63], [0x65, 0x66]), hexDigit),
        all(oneOf("Dd"), byte([0x30, 0x37])),
      ),
      hexDigit,
      hexDigit,
    ),
  ),
);

/** A character of a string, escaped or not. */
export const character = any(plainCharacter, escaped);

/** A string of `least` to `most` characters. */
export function stringOf(least = 0, most = Number.POSITIVE_INFINITY): Expression {
  return all(literal('"'), repeat(character, least, most), literal('"'));
}

/** Between two parts: nothing, a space, or a new line with an indent. */
export const space = any(literal(" "), all(literal("\n"), optional(literal("\n")), repeat(oneOf(" \t"), 0, 20)), empty);

/** Digits of a whole number: as many as a float64 holds exactly. */
export const MOST_DIGITS = 15;

const whole = all(
  optional(literal("-")),
  any(literal("0"), all(byte([0x31, 0x39]), repeat(digit, 0, MOST_DIGITS - 1))),
);

export const integer = whole;

export const number = all(
  whole,
  optional(all(literal("."), repeat(digit, 1, MOST_DIGITS))),
  optional(all(oneOf("eE"), optional(oneOf("+-")), repeat(digit, 1, 2))),
);

/** `[a, b]`, or `[]` where `least` is 0. */
export function listOf(item: Expression, least = 0, most = Number.POSITIVE_INFINITY): Expression {
  const none = all(literal("["), space, literal("]"));
  if (most === 0) return none;
  const more = repeat(all(literal(","), space, item), Math.max(0, least - 1), most - 1);
  const some = all(literal("["), space, item, more, space, literal("]"));
  return least === 0 ? any(some, none) : some;
}

/** `{"a": 1}`, or `{}` where `least` is 0. */
export function objectOf(key: Expression, value: Expression, least = 0, most = Number.POSITIVE_INFINITY): Expression {
  const member = all(key, literal(":"), space, value);
  const none = all(literal("{"), space, literal("}"));
  if (most === 0) return none;
  const more = repeat(all(literal(","), space, member), Math.max(0, least - 1), most - 1);
  const some = all(literal("{"), space, member, more, space, literal("}"));
  return least === 0 ? any(some, none) : some;
}

const valueRule = new Rule("value");
const itself: Expression = { kind: "rule", rule: valueRule };

/** Any object. */
export const object = objectOf(stringOf(), itself);

/** Any list. */
export const list = listOf(itself);

/** Any JSON. */
export const value = valueRule.define(
  any(stringOf(), number, object, list, literal("true"), literal("false"), literal("null")),
);

/** A value as JSON.stringify writes it, with spaces allowed between its parts. */
export function constant(given: unknown): Expression {
  if (Array.isArray(given)) {
    const items = given.map((item) => constant(item));
    return bracketed("[", items, "]");
  }
  if (typeof given === "object" && given !== null) {
    const members = Object.entries(given).map(([key, each]) =>
      all(literal(JSON.stringify(key)), literal(":"), space, constant(each)),
    );
    return bracketed("{", members, "}");
  }
  return literal(JSON.stringify(given));
}

function bracketed(open: string, parts: readonly Expression[], close: string): Expression {
  const joined = parts.flatMap((part, i) => (i === 0 ? [part] : [literal(","), space, part]));
  return all(literal(open), space, inTurn(joined), ...(parts.length > 0 ? [space] : []), literal(close));
}

/** A key that is none of these, written without escapes. */
export function otherKey(names: readonly string[]): Expression {
  return all(
    literal('"'),
    differing(names.map((name) => Array.from(new TextEncoder().encode(JSON.stringify(name).slice(1, -1))))),
    literal('"'),
  );
}

/** Plain characters that spell none of these, up to their end. */
function differing(names: readonly (readonly number[])[]): Expression {
  const firsts = new Set(names.flatMap(([first]) => (first === undefined ? [] : [first])));
  if (firsts.size === 0) return names.length === 0 ? many(plainCharacter) : all(plainCharacter, many(plainCharacter));
  // Keys that begin beyond ASCII or with an escape are rare, and left out together.
  const others: [number, number][] = [];
  for (let b = 0x20; b < 0x80; b++) if (b !== 0x22 && b !== 0x5c && !firsts.has(b)) others.push([b, b]);
  const choices: Expression[] = [all(byte(...others), many(plainCharacter))];
  for (const first of firsts) {
    if (first >= 0x80 || first === 0x5c) continue;
    const rest = names.filter((name) => name[0] === first).map((name) => name.slice(1));
    choices.push(all(byte([first, first]), differing(rest)));
  }
  if (!names.some((name) => name.length === 0)) choices.push(empty);
  return oneAmong(choices);
}
