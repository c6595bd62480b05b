/** Numbers laid out for `%` and for `format`: their common part. */
import { failure } from "./errors.ts";
import { exponentText, fixedDigits, floatText, generalText, intText } from "./numbers.ts";
import type { Run } from "./run.ts";

const RADIX: Readonly<Record<string, readonly [number, string]>> = {
  b: [2, "0b"],
  o: [8, "0o"],
  x: [16, "0x"],
  X: [16, "0X"],
};

/** |value| in the base of `d`, `b`, `o`, `x` or `X`, and the prefix for `#`. */
export function wholeDigits(run: Run, value: bigint, type: string): { digits: string; prefix: string } {
  const size = value < 0n ? -value : value;
  const [radix, prefix] = RADIX[type] ?? [10, ""];
  const digits = radix === 10 ? intText(size) : size.toString(radix);
  run.spend(digits.length >> 4);
  return { digits: type === "X" ? digits.toUpperCase() : digits, prefix };
}

/**
 * |value| by `e`, `f`, `g`, their capitals, or `%`.
 * @param type also "" for `format` without a type, with a precision
 */
export function floatDigits(value: number, type: string, precision: number, alternate: boolean): string {
  const upper = type !== type.toLowerCase();
  if (!Number.isFinite(value)) {
    const text = floatText(Math.abs(value));
    return (upper ? text.toUpperCase() : text) + (type === "%" ? "%" : "");
  }
  const letter = upper ? "E" : "e";
  switch (type.toLowerCase()) {
    case "e":
      return exponentText(value, precision, letter, alternate);
    case "f":
      return fixedDigits(value, precision) + (alternate && precision === 0 ? "." : "");
    case "%":
      return `${percentDigits(value, precision)}${alternate && precision === 0 ? "." : ""}%`;
    case "":
      return generalText(value, precision, letter, { alternate, addPoint: true });
    default:
      return generalText(value, precision, letter, { alternate });
  }
}

function percentDigits(value: number, precision: number): string {
  const hundredfold = value * 100;
  return Number.isFinite(hundredfold) ? fixedDigits(hundredfold, precision) : "inf";
}

/** Puts a separator between groups of digits. */
export function grouped(digits: string, separator: string, size: number): string {
  const groups: string[] = [];
  for (let end = digits.length; end > 0; end -= size) groups.push(digits.slice(Math.max(0, end - size), end));
  return groups.reverse().join(separator);
}

/** A code point as a character, as `%c` and `format(…, "c")` make it. */
export function characterOf(code: bigint): string {
  if (code < 0n || code > 0x10ffffn) throw failure("OverflowError", "%c arg not in range(0x110000)");
  return String.fromCodePoint(Number(code));
}
