/** What a command is: a declaration that parsing and help are derived from, and what it does. */
import type { CommandContext } from "./context.ts";
import { keepInputs } from "./kept-inputs.ts";
import type { Options, OptionValues } from "./options.ts";
import { type RawArguments, readOptions, readPositionals } from "./parse-arguments.ts";

/** An argument without a name, in the order of the declaration. */
export interface Positional<T extends string | undefined | readonly string[]> {
  readonly required: T extends undefined ? boolean : true;
  readonly help: string;
  /** Takes all that is left, at least one; the last of a declaration only. */
  readonly list: T extends readonly string[] ? true : false;
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

/** The part of a command that parsing and help read. */
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

export interface CommandSpec<P extends Positionals, O extends Options> extends CommandShape {
  readonly positionals: P;
  readonly options: O;
  /** Does the work. Whatever goes wrong is thrown. */
  run(values: PositionalValues<P> & OptionValues<O>, context: CommandContext): Promise<void>;
}

export interface Command extends CommandShape {
  /**
   * Checks the arguments, then does the work.
   * @throws SluiceError `usage` for arguments that make no sense, before anything is done
   */
  start(raw: RawArguments, context: CommandContext): Promise<void>;
}

export function defineCommand<P extends Positionals, O extends Options>(spec: CommandSpec<P, O>): Command {
  return {
    ...spec,
    async start(raw, context) {
      const positionals = readPositionals(spec, raw) as PositionalValues<P>;
      const options = readOptions(spec, raw) as OptionValues<O>;
      await keepInputs(spec, raw);
      await spec.run({ ...positionals, ...options }, context);
    },
  };
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
