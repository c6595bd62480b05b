/** From what was typed to what a command declares. `node:util` splits; every complaint is made here. */
import { parseArgs } from "node:util";
import { SluiceError } from "../errors.ts";
import type { CommandShape } from "./command.ts";
import type { Options } from "./options.ts";
import { nearest } from "./suggest.ts";

/** A command's arguments, split but not checked. */
export interface RawArguments {
  readonly positionals: readonly string[];
  /** What was written for each option that was given, in order; "" for a flag. Keys as in the declaration. */
  readonly options: ReadonlyMap<string, readonly string[]>;
  /** `--help` or `-h` was among them. */
  readonly help: boolean;
}

/** `maxNewTokens` as it is typed: `--max-new-tokens`. */
export function optionName(key: string): string {
  return `--${key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/**
 * Splits the arguments of one command.
 * @throws SluiceError `usage` for an unknown option, a missing value, or a value for a flag; not if help is wanted
 */
export function splitArguments(options: Options, args: readonly string[]): RawArguments {
  const keys = new Map(Object.keys(options).map((key) => [optionName(key), key]));
  const types = Object.entries(options).map(([key, option]) => {
    return [optionName(key).slice(2), { type: option.value === null ? "boolean" : "string" }] as const;
  });
  const { tokens } = parseArgs({
    args: [...args],
    options: { ...Object.fromEntries(types), help: { type: "boolean", short: "h" } },
    strict: false,
    allowPositionals: true,
    tokens: true,
  });
  const help = tokens.some((token) => token.kind === "option" && token.name === "help");
  const positionals: string[] = [];
  const given = new Map<string, string[]>();
  for (const token of tokens) {
    if (token.kind === "positional") positionals.push(token.value);
    if (token.kind !== "option" || help) continue;
    const key = keys.get(token.rawName);
    const option = key === undefined ? undefined : options[key];
    if (key === undefined || !option) throw unknownOption(token.rawName, [...keys.keys()]);
    const written = option.value === null ? flagText(token) : valueText(token, option.value);
    given.set(key, [...(given.get(key) ?? []), written]);
  }
  return { positionals, options: given, help };
}

interface OptionToken {
  readonly rawName: string;
  readonly value?: string | undefined;
  readonly inlineValue?: boolean | undefined;
}

function flagText({ rawName, value }: OptionToken): string {
  if (value !== undefined) throw new SluiceError("usage", `${rawName} takes no value, but was given "${value}"`);
  return "";
}

function valueText({ rawName, value, inlineValue }: OptionToken, placeholder: string): string {
  const missing = `${rawName} needs a value: ${rawName} ${placeholder}`;
  if (value === undefined) throw new SluiceError("usage", missing);
  // `--out --json` forgot the file; `--temperature -1` is a number for the option's own check to refuse.
  if (!inlineValue && /^-(?![\d.])./.test(value)) {
    throw new SluiceError("usage", missing, {
      hint: `If the value really is "${value}", write ${rawName}=${value}`,
    });
  }
  return value;
}

function unknownOption(name: string, known: readonly string[]): SluiceError {
  const guess = nearest(name, [...known, "--help"]);
  return new SluiceError("usage", `unknown option ${name}`, {
    hint: guess ? `Did you mean ${guess}?` : "A text that begins with a dash goes behind a lone --",
  });
}

/** The positionals by name. @throws SluiceError `usage` for one too few or too many */
export function readPositionals(
  shape: CommandShape,
  { positionals }: RawArguments,
): Record<string, string | readonly string[] | undefined> {
  const declared = Object.entries(shape.positionals);
  const excess = declared.at(-1)?.[1].list ? undefined : positionals[declared.length];
  if (excess !== undefined) {
    throw new SluiceError("usage", `unexpected argument "${excess}"`, {
      hint: "A text with spaces goes in quotes, and an option's value right behind the option.",
    });
  }
  const values = declared.map(([key, { required, help, list }], index) => {
    const value = positionals[index];
    if (value === undefined && required) throw new SluiceError("usage", `${key.toUpperCase()} is missing: ${help}`);
    return [key, list ? positionals.slice(index) : value] as const;
  });
  return Object.fromEntries(values);
}

/** The options by key, checked. @throws SluiceError `usage` */
export function readOptions(shape: CommandShape, { options }: RawArguments): Record<string, unknown> {
  const values = Object.entries(shape.options).map(([key, option]) => {
    return [key, option.read(options.get(key) ?? [], optionName(key))] as const;
  });
  return Object.fromEntries(values);
}
