/** The part of a command that parsing, help and the check of files read. */
import type { Options } from "./options.ts";

/** An argument without a name, in the order of the declaration. */
export interface Positional<T extends string | undefined | readonly string[]> {
  readonly required: T extends undefined ? boolean : true;
  readonly help: string;
  /** Takes all that is left, at least one; the last of a declaration only. */
  readonly list: T extends readonly string[] ? true : false;
  /** Names, in camel case, under which it is taken as an option too, with a notice. */
  readonly aliases?: readonly string[];
}

export type Positionals = Readonly<
  Record<string, Positional<string> | Positional<string | undefined> | Positional<readonly string[]>>
>;

/** What a command gets for its positionals. */
export type PositionalValues<P extends Positionals> = {
  readonly [Name in keyof P]: P[Name] extends { readonly list: true }
    ? readonly string[]
    : P[Name] extends { readonly required: true }
      ? string
      : string | undefined;
};

export interface Example {
  /** What follows `sluice`. */
  readonly line: string;
  readonly shows: string;
}

export interface CommandShape {
  /** One word, or two for the members of a family: `bundle inspect`. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Paragraphs for the command's own help. */
  readonly description: readonly string[];
  readonly positionals: Positionals;
  /** By name in camel case: `maxNewTokens` is written `--max-new-tokens`. */
  readonly options: Options;
  readonly examples: readonly [Example, ...Example[]];
}

/** An argument that must be given. */
export function argument(help: string): Positional<string> {
  return { required: true, help, list: false };
}

/** An argument that may be given more than once, and must be once. */
export function argumentList(help: string): Positional<readonly string[]> {
  return { required: true, help, list: true };
}

/** An argument that may be left out. */
export function optionalArgument(help: string): Positional<string | undefined> {
  return { required: false, help, list: false };
}
