/** Values of `format` in a JSON schema, as expressions over the characters of a string. */
import { all, any, byte, type Expression, literal, optional, repeat } from "./expression.ts";
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
]);
