/** Rules for single values: numbers, texts, words, functions and what browsers and this package make. */
import { bytesOf, isDetached } from "./buffers.ts";
import { type Rule, test } from "./rule.ts";

interface Range {
  readonly least?: number;
  readonly most?: number;
  /** Exclusive lower bound. */
  readonly above?: number;
  readonly below?: number;
}

/** A whole number that a float64 holds exactly. */
export function whole(range: Range = {}): Rule<number> {
  return test(
    `a whole number${inRange(range)}`,
    (value) => Number.isSafeInteger(value) && within(range, value),
    isNumber,
  );
}

/** A finite number. */
export function finite(range: Range = {}): Rule<number> {
  return test(`a finite number${inRange(range)}`, (value) => Number.isFinite(value) && within(range, value), isNumber);
}

/** A number that stays finite in shaders. */
export const float32: Rule<number> = test("a finite number that float32 holds", (value) => {
  return typeof value === "number" && Number.isFinite(Math.fround(value));
});

function isNumber(value: unknown): boolean {
  return typeof value === "number";
}

function within({ least, most, above, below }: Range, value: unknown): boolean {
  const number = value as number;
  return !(
    (least !== undefined && number < least) ||
    (most !== undefined && number > most) ||
    (above !== undefined && number <= above) ||
    (below !== undefined && number >= below)
  );
}

function inRange({ least, most, above, below }: Range): string {
  if (least !== undefined && most !== undefined) return ` from ${least} to ${most}`;
  const low = least === undefined ? above !== undefined && `above ${above}` : `of at least ${least}`;
  const high = most === undefined ? below !== undefined && `below ${below}` : `of at most ${most}`;
  const both = [low, high].filter((part) => part !== false).join(" and ");
  return both === "" ? "" : ` ${both}`;
}

export const text: Rule<string> = test("a text", (value) => typeof value === "string");

/** Maximum length of a path or address. */
const MOST_PATH = 4096;

/** A path or an address. */
export const path: Rule<string> = test(`a text of 1 to ${MOST_PATH} characters`, (value) => {
  return typeof value === "string" && value.trim() !== "" && value.length <= MOST_PATH;
});

/** The name of a file in errors. */
export const fileName: Rule<string> = test(`a text of at most ${MOST_PATH} characters`, (value) => {
  return typeof value === "string" && value.length <= MOST_PATH;
});

export const flag: Rule<boolean> = test("true or false", (value) => typeof value === "boolean");

/** One of a list of words. */
export function oneOf<const Word extends string>(words: readonly Word[]): Rule<Word> {
  return test(listed(words.map((word) => `"${word}"`)), (value) => words.some((word) => word === value));
}

/** `a, b or c`. */
export function listed(phrases: readonly string[]): string {
  const last = phrases.at(-1) ?? "nothing";
  return phrases.length > 1 ? `${phrases.slice(0, -1).join(", ")} or ${last}` : last;
}

// biome-ignore lint/suspicious/noExplicitAny: a rule cannot know a function's parameters; the schema's type does.
type AnyFunction = (...values: any[]) => unknown;

/** A function that will be called back. */
export function callback<Called extends AnyFunction>(): Rule<Called> {
  return test("a function", (value) => typeof value === "function");
}

/** An AbortSignal of any realm. */
export const signal: Rule<AbortSignal> = test("an AbortSignal", (value) => {
  return has(value, "aborted", "boolean") && has(value, "addEventListener", "function");
});

/** An object of this package, or one like it, recognised by its members. */
export function thing<Thing>(takes: string, members: Readonly<Record<string, string>>): Rule<Thing> {
  return test(takes, (value) => Object.entries(members).every(([name, type]) => has(value, name, type)));
}

function has(value: unknown, name: string, type: string): boolean {
  if (typeof value !== "object" || value === null) return false;
  return typeof (value as Readonly<Record<string, unknown>>)[name] === type;
}

/** Bytes of a file. */
export const bytes: Rule<Uint8Array> = {
  takes: "the bytes of a file as a Uint8Array",
  suits: (value) => bytesOf(value) !== undefined,
  read(value, place) {
    const found = isDetached(value) ? undefined : bytesOf(value);
    if (!found) throw place.refuse(value, this.takes);
    return found;
  },
};

/** Null, if it is a value with a meaning. */
export const nothing: Rule<null> = test("null", (value) => value === null);

/** Any value, for what is kept unchanged. */
export const anything: Rule<unknown> = test("anything", () => true);
