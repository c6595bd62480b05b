/** Strings and numbers of a JSON schema, and how a schema is refused. */
import { SluiceError } from "../errors.ts";
import { show, showText } from "../show.ts";
import { all, type Expression, lengthsOf, literal } from "./expression.ts";
import { integersBetween } from "./integer-range.ts";
import * as json from "./json-text.ts";
import { numbersBetween } from "./number-range.ts";
import { compilePattern } from "./pattern.ts";
import { formats } from "./string-formats.ts";

export type Schema = Readonly<Record<string, unknown>>;

/** Largest number in a minLength, maxItems and the like. */
const MOST_COUNT = 10_000;

export function stringOf(schema: Schema, path: string): Expression {
  const { pattern, format } = schema;
  const [least, most] = counts(schema, "minLength", "maxLength", path);
  const isCounted = schema.minLength !== undefined || schema.maxLength !== undefined;
  if (pattern !== undefined && (format !== undefined || isCounted)) {
    throw refusal(path, "has a pattern beside a format or a length, which cannot be joined");
  }
  if (pattern !== undefined) {
    if (typeof pattern !== "string") throw refusal(`${path}/pattern`, "must be a text");
    return all(literal('"'), compilePattern(pattern, `${path}/pattern`), literal('"'));
  }
  if (format !== undefined) {
    const body = typeof format === "string" ? formats.get(format) : undefined;
    if (!body) throw refusal(`${path}/format`, `is ${show(format)}; there are ${[...formats.keys()].join(", ")}`);
    // Formats are ASCII.
    const [shortest, longest] = lengthsOf(body) ?? [0, Infinity];
    if (shortest < least || longest > most) {
      throw refusal(
        path,
        `has a length beside the format ${format}, which has ${shortest} to ${longest} characters here`,
      );
    }
    return all(literal('"'), body, literal('"'));
  }
  return json.stringOf(least, most);
}

export function numberOf(type: "integer" | "number", schema: Schema, path: string): Expression {
  const bound = (key: string): number | undefined => {
    const given = schema[key];
    if (given === undefined || (typeof given === "number" && Number.isFinite(given))) return given;
    throw refusal(`${path}/${key}`, `is ${show(given)}; it must be a finite number`);
  };
  const bounds = [bound("minimum"), bound("maximum"), bound("exclusiveMinimum"), bound("exclusiveMaximum")];
  const [minimum, maximum, above, below] = bounds;
  const isBounded = bounds.some((each) => each !== undefined);
  const places = placesOf(schema, type, path);
  if (type === "number" && (isBounded || places !== undefined)) {
    const [least, most] = [
      Math.max(minimum ?? -Infinity, above ?? -Infinity),
      Math.min(maximum ?? Infinity, below ?? Infinity),
    ];
    const within = numbersBetween({
      ...{ least, isAbove: above === least, most, isBelow: below === most },
      ...(places !== undefined && { places }),
    });
    if (within) return within;
    throw refusal(path, `has no number from ${least} to ${most} of at most ${json.MOST_DIGITS} digits`);
  }
  if (type === "number") return json.number;
  if (!isBounded) return json.integer;
  const least = Math.max(minimum ?? -Infinity, above === undefined ? -Infinity : Math.floor(above) + 1);
  const most = Math.min(maximum ?? Infinity, below === undefined ? Infinity : Math.ceil(below) - 1);
  const within = integersBetween(least, most);
  if (!within)
    throw refusal(path, `has no whole number from ${least} to ${most} of at most ${json.MOST_DIGITS} digits`);
  return within;
}

/** Digits after the point that a `multipleOf` of 1, 0.1, 0.01, … leaves; undefined without one. */
function placesOf({ multipleOf }: Schema, type: "integer" | "number", path: string): number | undefined {
  if (multipleOf === undefined || (type === "integer" && multipleOf === 1)) return undefined;
  if (type === "number" && multipleOf === 1) return 0;
  const tenth = typeof multipleOf === "number" && /^0\.(0*)1$/.exec(String(multipleOf));
  if (type === "number" && tenth) return (tenth[1] as string).length + 1;
  throw refusal(
    `${path}/multipleOf`,
    `is ${show(multipleOf)}; supported are 1 and for numbers also 0.1, 0.01 and the like`,
  );
}

export function counts(
  schema: Schema,
  low: string,
  high: string,
  path: string,
): readonly [least: number, most: number] {
  const read = (key: string, otherwise: number): number => {
    const given = schema[key] ?? otherwise;
    if (given === otherwise || (Number.isSafeInteger(given) && (given as number) >= 0)) return given as number;
    throw refusal(`${path}/${key}`, `is ${show(given)}; it must be a whole number of at least 0`);
  };
  const [least, most] = [read(low, 0), read(high, Number.POSITIVE_INFINITY)];
  if (least > MOST_COUNT || (Number.isFinite(most) && most > MOST_COUNT)) {
    throw refusal(path, `counts to more than ${MOST_COUNT}`);
  }
  if (least > most) throw refusal(path, `has ${low} ${least} above ${high} ${most}`);
  return [least, most];
}

export function refusal(path: string, problem: string, hint?: string): SluiceError {
  return new SluiceError("usage", `The JSON schema: ${showText(path, 200)} ${problem}`, {
    ...(hint !== undefined && { hint }),
    field: "json_schema",
  });
}
