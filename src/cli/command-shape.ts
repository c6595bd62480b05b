/** The part of a command that parsing, help and the check of files read. */
import type { Options } from "./options.ts";

/** An argument without a name, in the order of the declaration. */
export interface Positional<T extends string | undefined | readonly string[]> {
  readonly required: T extends undefined ? boolean : true;
  readonly help: string;
  /** Takes all remaining arguments, at least one. Only the last positional may have this. */
  readonly list: T extends readonly string[] ? true : false;
  /** Option names, in camel case, that are accepted for it too, with a notice. */
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
  /** The arguments after `sluice`. */
  readonly line: string;
  readonly shows: string;
}

export interface CommandShape {
  /** One word, or two in a family of commands: `bundle inspect`. */
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Paragraphs for the command's own help. */
  readonly description: readonly string[];
  readonly positionals: Positionals;
  /** Keys are names in camel case: `maxNewTokens` is written `--max-new-tokens`. */
  readonly options: Options;
  readonly examples: readonly [Example, ...Example[]];
}

/** An argument that must be given. */
export function argument(help: string): Positional<string> {
  return { required: true, help, list: false };
}

/** An argument that is given once or more. */
export function argumentList(help: string): Positional<readonly string[]> {
  return { required: true, help, list: true };
}

/** An optional argument. */
export function optionalArgument(help: string): Positional<string | undefined> {
  return { required: false, help, list: false };
}
