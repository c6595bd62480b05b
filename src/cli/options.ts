/** The kinds of options that commands declare: how each is written, explained and checked. */
import { listed } from "../arguments/rules.ts";
import { SluiceError } from "../errors.ts";
import { showText } from "../show.ts";

/** One `--option`; T is what the command gets. */
export interface Option<T> {
  /** The value's placeholder in help texts, such as `N`; null for a flag. */
  readonly value: string | null;
  readonly help: string;
  readonly repeatable: boolean;
  /** Names a file that the command reads: input-files.ts. Bundles are checked when they are read. */
  readonly reads?: "file" | "bundle";
  /** Names a file that the command writes: kept-inputs.ts. */
  readonly isOutput?: boolean;
  /** Other options: without one of them this option does nothing. */
  readonly needs?: readonly string[];
  /** The option may be written without a value; only these words, right after it, are its value. */
  readonly words?: readonly string[];
  /** Earlier names, in camel case: they still work, with a notice. Help shows the current name. */
  readonly aliases?: readonly string[];
  /**
   * Checks and converts the texts given.
   * @param texts the values in order; none for an absent option, an empty one for each flag given
   * @param name the option as written, for errors
   * @throws SluiceError `usage`
   */
  read(texts: readonly string[], name: string): T;
}

export type Options = Readonly<Record<string, Option<unknown>>>;

/** What a command gets for its options. */
export type OptionValues<O extends Options> = {
  readonly [Name in keyof O]: O[Name] extends Option<infer T> ? T : never;
};

/** Checks and converts one value. @throws SluiceError `usage` */
export type Parser<T> = (text: string, name: string) => T;

/** `--json`: given or not. */
export function flag(help: string): Option<boolean> {
  return { value: null, help, repeatable: false, read: (texts) => texts.length > 0 };
}

/**
 * The last one given counts, so that a script's defaults can be overridden.
 * @param otherwise the library's default, for the help text
 */
export function optional<T>(value: string, help: string, parse: Parser<T>, otherwise?: T): Option<T | undefined> {
  return {
    value,
    help: otherwise === undefined ? help : `${help} (default ${otherwise})`,
    repeatable: false,
    read(texts, name) {
      const last = texts.at(-1);
      return last === undefined ? undefined : parse(last, name);
    },
  };
}

/** As {@link optional}, with a default, which the help text shows. */
export function withDefault<T>(value: string, help: string, parse: Parser<T>, otherwise: T): Option<T> {
  const option = optional(value, `${help} (default ${otherwise})`, parse);
  return { ...option, read: (texts, name) => option.read(texts, name) ?? otherwise };
}

/** An option that must be given. */
export function required<T>(value: string, help: string, parse: Parser<T>): Option<T> {
  const option = optional(value, `${help} (required)`, parse);
  return {
    ...option,
    read(texts, name) {
      const read = option.read(texts, name);
      if (read === undefined) throw new SluiceError("usage", `${name} ${value} is missing`);
      return read;
    },
  };
}

/** An option that may be written without a value. */
export interface FlagOrWord<T extends string> {
  /** It was written without a value. */
  readonly isFlag: boolean;
  /** The last word that was written with it. */
  readonly word: T | undefined;
}

/** A flag that may also take one of a few words. */
export function flagOrWord<const T extends string>(
  value: string,
  help: string,
  words: readonly T[],
): Option<FlagOrWord<T>> {
  const parse = oneOf(...words);
  return {
    value,
    help,
    repeatable: false,
    words,
    read(texts, name) {
      const written = texts.filter((text) => text !== "").map((text) => parse(text, name));
      return { isFlag: written.length < texts.length, word: written.at(-1) };
    },
  };
}

/** An option that does nothing unless one of these others is given. */
export function needing<O extends Option<unknown>>(option: O, ...needs: readonly [string, ...string[]]): O {
  return { ...option, needs };
}

/** An option that names a file to read. */
export function input<T>(option: Option<T>, reads: "file" | "bundle" = "file"): Option<T> {
  return { ...option, reads };
}

/** An option that names a file to write. */
export function output<T>(option: Option<T>): Option<T> {
  return { ...option, isOutput: true };
}

/** An option with earlier names, in camel case. */
export function renamed<O extends Option<unknown>>(option: O, ...aliases: readonly string[]): O {
  return { ...option, aliases };
}

/** An option that may be given several times. */
export function repeated<T>(value: string, help: string, parse: Parser<T>): Option<readonly T[]> {
  return { value, help, repeatable: true, read: (texts, name) => texts.map((text) => parse(text, name)) };
}

/** Any text, also an empty one. */
export const text: Parser<string> = (given) => given;

/** A text of at least one character: a file name, an adapter. */
export const name: Parser<string> = (given, option) => {
  if (given === "") throw new SluiceError("usage", `${option} is empty`);
  return given;
};

/** A whole number of at least `min`. */
export function wholeNumber(min: number): Parser<number> {
  return (given, option) => {
    const value = Number(given);
    if (!/^[+-]?\d+$/.test(given) || !Number.isSafeInteger(value) || value < min) {
      throw refused(option, `a whole number of at least ${min}`, given);
    }
    return value;
  };
}

export interface NumberRange {
  readonly min?: number;
  readonly max?: number;
  /** Refuse the lower bound itself. */
  readonly aboveMin?: boolean;
}

/** A finite decimal number, in a range if one is given. */
export function decimal({ min, max, aboveMin = false }: NumberRange = {}): Parser<number> {
  const bounds: string[] = [];
  if (min !== undefined) bounds.push(`${aboveMin ? "above" : "of at least"} ${min}`);
  if (max !== undefined) bounds.push(`at most ${max}`);
  const wanted = `a number ${bounds.join(" and ")}`.trimEnd();
  return (given, option) => {
    const value = given.trim() === "" ? Number.NaN : Number(given);
    const tooSmall = min !== undefined && (value < min || (aboveMin && value === min));
    if (!Number.isFinite(value) || tooSmall || (max !== undefined && value > max)) throw refused(option, wanted, given);
    return value;
  };
}

/** One of a few words. */
export function oneOf<const T extends string>(...choices: readonly T[]): Parser<T> {
  return (given, option) => {
    const choice = choices.find((candidate) => candidate === given);
    if (choice === undefined) throw refused(option, listed(choices), given);
    return choice;
  };
}

/** Token ids separated by commas or spaces: `1,2,3`, or what `sluice generate --tokens` prints. */
export const tokenIds: Parser<readonly number[]> = (given, option) => {
  const parts = given.trim().split(/\s*,\s*|\s+/);
  return parts.map((part, index) => {
    const id = Number(part);
    if (/^\d+$/.test(part) && Number.isSafeInteger(id)) return id;
    throw new SluiceError("usage", `${option}: ${describePart(part, index)} is not a token id`, {
      hint: "Token ids are whole numbers from 0 up, separated by commas: --tokens 1,2,3",
    });
  });
};

function describePart(part: string, index: number): string {
  return part === "" ? `item ${index + 1} is empty and` : `"${showText(part, 60)}" (item ${index + 1})`;
}

function refused(option: string, wanted: string, given: string): SluiceError {
  return new SluiceError("usage", `${option} takes ${wanted}, not "${showText(given, 60)}"`);
}
