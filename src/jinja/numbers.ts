/** Python's numbers as text, and text as numbers. Decimal digits are exact: they come from whole-number arithmetic. */
import { failure } from "./errors.ts";
import { limit, type Run } from "./run.ts";
import { strip } from "./text.ts";

/** Python refuses to print or read longer whole numbers. */
const MOST_DIGITS = 4300;
/** Maximum number of digits after the point. */
const MOST_DECIMALS = 2000;

/** `str(int)`. */
export function intText(value: bigint): string {
  const text = value.toString();
  if (text.length > MOST_DIGITS && text.replace("-", "").length > MOST_DIGITS) {
    throw failure("ValueError", `Exceeds the limit (${MOST_DIGITS} digits) for integer string conversion`);
  }
  return text;
}

/** `repr(float)`: the shortest digits that read back the same. */
export function floatText(value: number): string {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? "nan" : value < 0 ? "-inf" : "inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const [mantissa = "", power = ""] = Math.abs(value).toExponential().split("e");
  const digits = mantissa.replace(".", "");
  const sign = value < 0 ? "-" : "";
  const exponent = Number(power);
  if (exponent < -4 || exponent >= 16) return sign + scientific(digits, exponent, "e");
  if (exponent < 0) return `${sign}0.${"0".repeat(-exponent - 1)}${digits}`;
  const whole = digits.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  return `${sign}${whole}.${digits.slice(exponent + 1) || "0"}`;
}

/** Digits and an exponent as `1.5e+07`. */
function scientific(digits: string, exponent: number, letter: string, alternate = false): string {
  const fraction = digits.length > 1 || alternate ? `.${digits.slice(1)}` : "";
  return `${digits[0]}${fraction}${letter}${exponent < 0 ? "-" : "+"}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

/** |value| times 10^power, rounded half to even. */
function scaled(value: number, power: number): bigint {
  let [numerator, denominator] = fraction(value);
  if (power >= 0) numerator *= 10n ** BigInt(power);
  else denominator *= 10n ** BigInt(-power);
  return divideEven(numerator, denominator);
}

function divideEven(numerator: bigint, denominator: bigint): bigint {
  const quotient = numerator / denominator;
  const twice = (numerator % denominator) * 2n;
  return twice > denominator || (twice === denominator && quotient % 2n === 1n) ? quotient + 1n : quotient;
}

/** |value|, which is finite, as a fraction of whole numbers. */
export function fraction(value: number): [bigint, bigint] {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, Math.abs(value));
  const bits = view.getBigUint64(0);
  const exponent = Number(bits >> 52n);
  const mantissa = (bits & 0xfffffffffffffn) | (exponent > 0 ? 1n << 52n : 0n);
  const shift = Math.max(exponent, 1) - 1075;
  return shift >= 0 ? [mantissa << BigInt(shift), 1n] : [mantissa, 1n << BigInt(-shift)];
}

function checkDecimals(decimals: number): void {
  if (decimals > MOST_DECIMALS) throw limit(`formats a number with more than ${MOST_DECIMALS} digits`);
}

/** |value| with this many digits after the point. */
export function fixedDigits(value: number, decimals: number): string {
  checkDecimals(decimals);
  const digits = scaled(value, decimals)
    .toString()
    .padStart(decimals + 1, "0");
  return decimals === 0 ? digits : `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

/** |value| as digits, one of them before the point, and the exponent. */
function exponentDigits(value: number, decimals: number): [string, number] {
  checkDecimals(decimals);
  if (value === 0) return ["0".repeat(decimals + 1), 0];
  let exponent = Number(Math.abs(value).toExponential().split("e")[1]);
  let digits = scaled(value, decimals - exponent).toString();
  if (digits.length > decimals + 1) {
    exponent++;
    digits = scaled(value, decimals - exponent).toString();
  }
  return [digits, exponent];
}

/** |value| as `%e` prints it. */
export function exponentText(value: number, decimals: number, letter: "e" | "E", alternate: boolean): string {
  const [digits, exponent] = exponentDigits(value, decimals);
  return scientific(digits, exponent, letter, alternate);
}

/**
 * |value| as `%g` prints it: the shorter of both forms, without zeros at the end.
 * @param addPoint as for `format` without a type: with a digit after the point, and the exponent form earlier
 */
export function generalText(
  value: number,
  precision: number,
  letter: "e" | "E",
  { alternate = false, addPoint = false } = {},
): string {
  const significant = Math.max(precision, 1);
  const [digits, exponent] = exponentDigits(value, significant - 1);
  const shown = alternate ? digits : digits.replace(/0+$/, "") || "0";
  if (exponent < -4 || exponent >= significant - (addPoint ? 1 : 0))
    return scientific(shown, exponent, letter, alternate);
  if (exponent < 0) return `0.${"0".repeat(-exponent - 1)}${shown}`;
  const whole = shown.slice(0, exponent + 1).padEnd(exponent + 1, "0");
  const rest = shown.slice(exponent + 1);
  if (rest) return `${whole}.${rest}`;
  return addPoint ? `${whole}.0` : alternate ? `${whole}.` : whole;
}

/** `round(float, digits)`: half to even on the exact value. */
export function roundFloat(value: number, digits: number): number {
  if (!Number.isFinite(value) || digits > 323) return value;
  if (digits < -308) return value < 0 ? -0 : 0;
  const rounded = Number(`${scaled(value, digits)}e${-digits}`);
  if (!Number.isFinite(rounded)) throw failure("OverflowError", "rounded value too large to represent");
  return value < 0 || Object.is(value, -0) ? -rounded : rounded;
}

/** `round(int, digits)`. */
export function roundInt(value: bigint, digits: number): bigint {
  if (digits >= 0) return value;
  if (-digits > 5000) return 0n;
  const unit = 10n ** BigInt(-digits);
  const rounded = divideEven(value < 0n ? -value : value, unit) * unit;
  return value < 0n ? -rounded : rounded;
}

/** `int(float)`. */
export function truncated(value: number): bigint {
  if (Number.isNaN(value)) throw failure("ValueError", "cannot convert float NaN to integer");
  if (!Number.isFinite(value)) throw failure("OverflowError", "cannot convert float infinity to integer");
  return BigInt(Math.trunc(value));
}

/** `float(int)`. */
export function toFloat(value: bigint): number {
  const result = Number(value);
  if (!Number.isFinite(result)) throw failure("OverflowError", "int too large to convert to float");
  return result;
}

/** Digits of other scripts as ASCII ones, and spaces at the ends dropped. */
function plainDigits(run: Run, text: string): string {
  return strip(run, text, null, true, true).replace(/(?![0-9])\p{Nd}/gu, (digit) =>
    String(digitValue(digit.codePointAt(0) as number)),
  );
}

/** The value of a decimal digit: digits come in groups of ten, in order. */
export function digitValue(code: number): number {
  let first = code;
  while (first > code - 9 && /\p{Nd}/u.test(String.fromCodePoint(first - 1))) first--;
  // Mathematical digits are five tens in a row that do not begin at a multiple of ten.
  return code >= 0x1d7ce && code <= 0x1d7ff ? (code - 0x1d7ce) % 10 : code - first;
}

/** `int(text, base)`; undefined if Python raises ValueError. */
export function parseInteger(run: Run, text: string, base: number): bigint | undefined {
  run.scan(text.length);
  const match = /^([+-]?)(0[bB]|0[oO]|0[xX])?(_?[0-9a-zA-Z]+(?:_[0-9a-zA-Z]+)*)$/.exec(
    text.length > 40 * MOST_DIGITS ? "" : plainDigits(run, text),
  );
  if (!match) return undefined;
  const [, sign = "", prefix = "", body = ""] = match;
  const meant = { b: 2, o: 8, x: 16 }[prefix[1]?.toLowerCase() ?? ""];
  let digits = body;
  let radix = base;
  if (base === 0) {
    radix = meant ?? 10;
    if (!meant && /^0[0_]*[1-9]/.test(body)) return undefined;
  } else if (meant !== base) digits = prefix + body;
  if (digits.startsWith("_") && !(meant === radix && prefix)) return undefined;
  digits = digits.replace(/_/g, "").toLowerCase();
  if (digits === "" || (radix & (radix - 1) && digits.length > MOST_DIGITS)) return undefined;
  if (radix === 10) return /^[0-9]+$/.test(digits) ? BigInt(sign === "-" ? `-${digits}` : digits) : undefined;
  run.spend(digits.length);
  const value = wholeOf(digits, radix);
  return sign === "-" && value !== undefined ? -value : value;
}

/** Digits that are read as one number: 36^10 is below 2^53. */
const DIGITS_AT_ONCE = 10;

/** The whole number of digits in a base, which have no sign; undefined if one is none of that base. */
function wholeOf(digits: string, radix: number): bigint | undefined {
  const highest = (radix - 1).toString(radix);
  const isDigit = (digit: string): boolean => (digit <= "9" || highest > "9") && digit <= highest;
  if (!Array.from(digits).every(isDigit)) return undefined;
  // A power of two: each digit is some bits, and the host reads bits in linear time.
  const width = Math.log2(radix);
  if (Number.isInteger(width)) {
    return BigInt(
      `0b${Array.from(digits, (digit) => Number.parseInt(digit, 36).toString(2).padStart(width, "0")).join("")}`,
    );
  }
  let value = 0n;
  for (let at = 0; at < digits.length; at += DIGITS_AT_ONCE) {
    const part = digits.slice(at, at + DIGITS_AT_ONCE);
    value = value * BigInt(radix) ** BigInt(part.length) + BigInt(Number.parseInt(part, radix));
  }
  return value;
}

/** `float(text)`; undefined if Python raises ValueError. */
export function parseFloatText(run: Run, text: string): number | undefined {
  run.scan(text.length);
  const plain = plainDigits(run, text);
  const special = /^([+-]?)(inf|infinity|nan)$/i.exec(plain);
  if (special) {
    const value = special[2]?.toLowerCase() === "nan" ? Number.NaN : Number.POSITIVE_INFINITY;
    return special[1] === "-" ? -value : value;
  }
  const digits = "\\d+(?:_\\d+)*";
  const form = new RegExp(`^[+-]?(?:${digits}(?:\\.(?:${digits})?)?|\\.${digits})(?:[eE][+-]?${digits})?$`);
  return form.test(plain) ? Number(plain.replace(/_/g, "")) : undefined;
}
