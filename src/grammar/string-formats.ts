/** Values of `format` in a JSON schema, as expressions over the characters of a string. */
import { all, any, byte, type Expression, empty, literal, oneOf, optional, repeat } from "./expression.ts";
import { digit, hexDigit } from "./json-text.ts";

const year = repeat(digit, 4, 4);
const number = (first: string, last: Expression): Expression => all(literal(first), last);
const from1 = byte([0x31, 0x39]);
const to28 = any(number("0", from1), number("1", digit), number("2", byte([0x30, 0x38])));
const to30 = any(to28, literal("29"), literal("30"));
/** A month and a day that it has in every year. */
const monthDay = any(
  all(any(...["01", "03", "05", "07", "08", "10", "12"].map(literal)), literal("-"), any(to30, literal("31"))),
  all(any(...["04", "06", "09", "11"].map(literal)), literal("-"), to30),
  all(literal("02-"), to28),
);
const hour = any(all(byte([0x30, 0x31]), digit), all(literal("2"), byte([0x30, 0x33])));
const sixty = all(byte([0x30, 0x35]), digit);
const date = all(year, literal("-"), monthDay);
const clock = all(hour, literal(":"), sixty, literal(":"), sixty, optional(all(literal("."), repeat(digit, 1, 9))));
const zone = any(literal("Z"), all(any(literal("+"), literal("-")), hour, literal(":"), sixty));
const time = all(clock, zone);
const octet = any(
  all(literal("25"), byte([0x30, 0x35])),
  all(literal("2"), byte([0x30, 0x34]), digit),
  all(literal("1"), digit, digit),
  all(byte([0x31, 0x39]), digit),
  digit,
);
const letterOrDigit = byte([0x30, 0x39], [0x41, 0x5a], [0x61, 0x7a]);
const label = all(letterOrDigit, repeat(byte([0x30, 0x39], [0x41, 0x5a], [0x61, 0x7a]), 0, 30));
const host = all(label, repeat(all(literal("."), label), 1, 3));
const uuid = [8, 4, 4, 4, 12].flatMap((length, i) => [
  ...(i > 0 ? [literal("-")] : []),
  repeat(hexDigit, length, length),
]);

const amount = (unit: string): Expression => all(repeat(digit, 1, 6), literal(unit));
/** As RFC 3339 has it: no unit is left out in the middle. */
const contiguous = ([first, ...rest]: readonly string[]): Expression =>
  rest.length === 0 ? amount(first as string) : all(amount(first as string), optional(contiguous(rest)));
const startingAnywhere = (units: readonly string[]): Expression =>
  any(...units.map((_, i) => contiguous(units.slice(i))));
const clockTime = all(literal("T"), startingAnywhere(["H", "M", "S"]));
const duration = all(
  literal("P"),
  any(all(startingAnywhere(["Y", "M", "D"]), optional(clockTime)), clockTime, amount("W")),
);

const group = repeat(hexDigit, 1, 4);
const groups = (most: number): Expression => all(group, repeat(all(literal(":"), group), 0, most - 1));
/** Eight groups, or fewer around a gap. */
const ipv6 = any(
  all(group, repeat(all(literal(":"), group), 7, 7)),
  ...Array.from({ length: 7 }, (_, before) => {
    const head = before === 0 ? empty : all(group, repeat(all(literal(":"), group), before - 1, before - 1));
    return all(head, literal("::"), optional(groups(7 - before)));
  }),
);

const plain = byte([0x30, 0x39], [0x41, 0x5a], [0x61, 0x7a], [0x2d, 0x2e], [0x5f, 0x5f], [0x7e, 0x7e]);
const inPath = any(plain, oneOf("!$&'()*+,;=:@"), all(literal("%"), hexDigit, hexDigit));
const uri = all(
  byte([0x41, 0x5a], [0x61, 0x7a]),
  repeat(letterOrDigit, 0, 9),
  literal("://"),
  host,
  optional(all(literal(":"), byte([0x31, 0x39]), repeat(digit, 0, 3))),
  repeat(all(literal("/"), repeat(inPath, 0, 40)), 0, 8),
  optional(all(literal("?"), repeat(any(inPath, oneOf("/?")), 0, 80))),
  optional(all(literal("#"), repeat(any(inPath, oneOf("/?")), 0, 40))),
);

/** By name. */
export const formats: ReadonlyMap<string, Expression> = new Map([
  ["date", date],
  ["time", time],
  ["date-time", all(date, literal("T"), time)],
  ["uuid", all(...uuid)],
  ["ipv4", all(octet, literal("."), octet, literal("."), octet, literal("."), octet)],
  [
    "email",
    all(repeat(letterOrDigit, 1, 32), optional(all(literal("."), repeat(letterOrDigit, 1, 31))), literal("@"), host),
  ],
  ["hostname", host],
  ["duration", duration],
  ["ipv6", ipv6],
  ["uri", uri],
]);
