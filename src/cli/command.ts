/** A command: its declaration, from which parsing and help are derived, and its action. */
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
  /** Refuses options that conflict, before any file is read. @throws SluiceError `usage` */
  check?(values: PositionalValues<P> & OptionValues<O>): void;
  /** Does the work. Throws every failure. */
  run(values: PositionalValues<P> & OptionValues<O>, context: CommandContext): Promise<void>;
}

export interface Command extends CommandShape {
  /**
   * Checks the arguments, then runs the command.
   * @throws SluiceError `usage` for invalid arguments, before any work
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
