/** What a command is: a declaration that parsing and help are derived from, and what it does. */
import type { CommandShape, Positionals, PositionalValues } from "./command-shape.ts";
import type { CommandContext } from "./context.ts";
import { checkInputs } from "./input-files.ts";
import { keepInputs } from "./kept-inputs.ts";
import type { Options, OptionValues } from "./options.ts";
import { type RawArguments, readOptions, readPositionals } from "./parse-arguments.ts";

export { argument, argumentList, optionalArgument } from "./command-shape.ts";

export interface CommandSpec<P extends Positionals, O extends Options> extends CommandShape {
  readonly positionals: P;
  readonly options: O;
  /** Refuses what does not go together, before any file is looked at. @throws SluiceError `usage` */
  check?(values: PositionalValues<P> & OptionValues<O>): void;
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
      for (const notice of raw.notices) context.note(notice);
      const values = { ...positionals, ...options };
      spec.check?.(values);
      await keepInputs(spec, raw);
      await checkInputs(spec, raw);
      await spec.run(values, context);
    },
  };
}
