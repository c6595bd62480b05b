/** Turns typed arguments into what a command declares. `node:util` splits them; all errors are raised here. */
import { parseArgs } from "node:util";
import { nearest } from "../arguments/suggest.ts";
import { SluiceError } from "../errors.ts";
import { showText } from "../show.ts";
import type { CommandShape } from "./command-shape.ts";
import { foreignName } from "./foreign-names.ts";
import { optionName } from "./option-name.ts";

/** A command's arguments, split but not checked. */
export interface RawArguments {
  readonly positionals: readonly string[];
  /** The values of each option given, in order; "" for a flag. Keys as in the declaration. */
  readonly options: ReadonlyMap<string, readonly string[]>;
  /** The values of positionals that were given as options. */
  readonly named: ReadonlyMap<string, string>;
  /** Notices about earlier names that were used. */
  readonly notices: readonly string[];
  /** Whether `--help` or `-h` was given. */
  readonly help: boolean;
}

/** The meaning of a typed name. */
interface Meaning {
  readonly key: string;
  readonly kind: "option" | "positional";
  /** Whether it is an earlier name. */
  readonly isAlias: boolean;
  /** Null for a flag. */
  readonly value: string | null;
  /** The words that an option which may have no value accepts. */
  readonly words: readonly string[] | undefined;
}

/**
 * Splits the arguments of one command.
 * @throws SluiceError `usage` for an unknown option, a missing value, or a value for a flag; not if help is wanted
 */
export function splitArguments(shape: CommandShape, args: readonly string[]): RawArguments {
  const meanings = meaningsIn(shape);
  const types = [...meanings].map(([name, { value, words }]) => {
    return [name.slice(2), { type: value === null || words ? "boolean" : "string" }] as const;
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
  const named = new Map<string, string>();
  const notices = new Set<string>();
  /** Positions of words that belong to the option before them. */
  const taken = new Set<number>();
  const wordAfter = (index: number, words: readonly string[]): string => {
    const next = tokens.find((token) => token.index === index + 1);
    if (next?.kind !== "positional" || !words.includes(next.value)) return "";
    taken.add(next.index);
    return next.value;
  };
  for (const token of tokens) {
    if (token.kind === "positional" && !taken.has(token.index)) positionals.push(token.value);
    if (token.kind !== "option" || help) continue;
    const meaning = meanings.get(token.rawName);
    if (!meaning) throw unknownOption(token.rawName, shape);
    const { key, kind, isAlias, value, words } = meaning;
    const written = words
      ? (token.value ?? wordAfter(token.index, words))
      : value === null
        ? flagText(token)
        : valueText(token, value);
    if (kind === "positional") named.set(key, written);
    else given.set(key, [...(given.get(key) ?? []), written]);
    if (isAlias) notices.add(renamedNotice(token.rawName, meaning));
  }
  return { positionals, options: given, named, notices: [...notices], help };
}

/** Every name that can be typed, also earlier ones. */
function meaningsIn({ options, positionals }: CommandShape): ReadonlyMap<string, Meaning> {
  const own = Object.entries(options).flatMap(([key, { value, words, aliases = [] }]) => {
    return [key, ...aliases].map((name): readonly [string, Meaning] => {
      return [name, { key, kind: "option", isAlias: name !== key, value, words }];
    });
  });
  const others = Object.entries(positionals).flatMap(([key, { aliases = [] }]) => {
    return aliases.map((name): readonly [string, Meaning] => {
      return [name, { key, kind: "positional", isAlias: true, value: "TEXT", words: undefined }];
    });
  });
  return new Map([...own, ...others].map(([name, meaning]) => [optionName(name), meaning]));
}

function renamedNotice(typed: string, { key, kind }: Meaning): string {
  if (kind === "option") return `${typed} is now called ${optionName(key)}`;
  return `${typed} can be left out: ${key.toUpperCase()} is an argument without a name`;
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

function unknownOption(typed: string, shape: CommandShape): SluiceError {
  const known = [...Object.keys(shape.options).map(optionName), "--help"];
  const guess = foreignName(typed, shape) ?? nearest(typed.replaceAll("_", "-"), known);
  return new SluiceError("usage", `unknown option ${showText(typed, 60)} of sluice ${shape.name}`, {
    hint: guess
      ? `Did you mean ${guess}?`
      : `sluice ${shape.name} --help lists its options. Put a text that begins with a dash after a lone --`,
  });
}

/** The positionals by name. @throws SluiceError `usage` for one too few or too many, or one given twice */
export function readPositionals(
  shape: CommandShape,
  { positionals, named }: RawArguments,
): Record<string, string | readonly string[] | undefined> {
  const declared = Object.entries(shape.positionals);
  const excess = declared.at(-1)?.[1].list ? undefined : positionals[declared.length];
  if (excess !== undefined) {
    throw new SluiceError("usage", `unexpected argument "${showText(excess, 60)}"`, {
      hint: "Put a text with spaces in quotes, and an option's value right after the option.",
    });
  }
  const values = declared.map(([key, { required, help, list }], index) => {
    const value = positionals[index];
    const word = key.toUpperCase();
    if (value !== undefined && named.has(key)) {
      throw new SluiceError("usage", `${word} was given twice, as an argument and as an option: which one?`);
    }
    const only = value ?? named.get(key);
    if (only === undefined && required) throw new SluiceError("usage", `${word} is missing: ${help}`);
    return [key, list ? positionals.slice(index) : only] as const;
  });
  return Object.fromEntries(values);
}

/** The options by key, checked. @throws SluiceError `usage`, also for an option that does nothing without another */
export function readOptions(shape: CommandShape, { options }: RawArguments): Record<string, unknown> {
  for (const [key] of options) {
    const needs = shape.options[key]?.needs ?? [];
    if (needs.length === 0 || needs.some((other) => options.has(other))) continue;
    throw new SluiceError("usage", `${optionName(key)} does nothing without ${needs.map(optionName).join(" or ")}`, {
      hint: `Leave ${optionName(key)} out, or give ${needs.map(optionName).join(" or ")} too.`,
    });
  }
  const values = Object.entries(shape.options).map(([key, option]) => {
    return [key, option.read(options.get(key) ?? [], optionName(key))] as const;
  });
  return Object.fromEntries(values);
}
