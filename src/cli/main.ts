/** The command line: finds the command, runs it, and turns what happened into output and an exit code. */
import { SluiceError } from "../errors.ts";
import type { Command } from "./command.ts";
import { capture } from "./commands/capture.ts";
import { explain } from "./commands/explain.ts";
import { generate } from "./commands/generate.ts";
import { info } from "./commands/info.ts";
import { logits } from "./commands/logits.ts";
import { perplexity } from "./commands/perplexity.ts";
import type { CommandContext, InputStream, Library } from "./context.ts";
import { commandHelp, generalHelp, type HelpStyle } from "./help.ts";
import { type SignalSource, watchInterrupts } from "./interrupts.ts";
import { type OutputStream, TextOutput } from "./output.ts";
import { splitArguments } from "./parse-arguments.ts";
import { Progress } from "./progress.ts";
import { nearest } from "./suggest.ts";

const COMMANDS: readonly Command[] = [generate, logits, capture, perplexity, explain, info];

/** The process, or what plays its part in a test. */
export interface Surroundings {
  readonly library: Library;
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly signals: SignalSource;
  readonly env: Readonly<Record<string, string | undefined>>;
  exit(code: number): void;
}

/** The library, imported when a command first needs it. */
const library: Library = {
  load: async (...args) => (await import("../index.ts")).load(...args),
  info: async (options) => {
    const { formatInfo, gatherInfo } = await import("../gpu/node-info.ts");
    const data = await gatherInfo(options);
    return { data, text: formatInfo(data) };
  },
};

/**
 * @param argv what follows the program's name
 * @returns the exit code: 0 done, 1 failed, 2 asked for wrongly, 130 or 143 interrupted
 */
export async function main(argv: readonly string[], surroundings: Partial<Surroundings> = {}): Promise<number> {
  const world: Surroundings = {
    library,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    signals: process,
    env: process.env,
    exit: (code) => process.exit(code),
    ...surroundings,
  };
  const abort = new AbortController();
  const stdout = new TextOutput(world.stdout, () => abort.abort());
  const stderr = new TextOutput(world.stderr);
  const progress = new Progress(stderr);
  const interrupts = watchInterrupts(world.signals, () => abort.abort(), world.exit);
  const note = (text: string): void => {
    progress.clear();
    stderr.write(`sluice: ${text}\n`);
  };
  try {
    const context: CommandContext = {
      library: world.library,
      stdin: world.stdin,
      stdout,
      signal: abort.signal,
      progress,
      note,
    };
    await dispatch(argv, context, styleFor(stdout, world.env));
    return interrupts.exitCode ?? failureCode(stdout, note);
  } catch (error) {
    progress.clear();
    if (interrupts.exitCode !== null) return interrupts.exitCode;
    if (stdout.closed) return 0;
    return report(error, note, world.env.SLUICE_DEBUG === "1");
  } finally {
    interrupts.release();
    await stdout.flush();
    await stderr.flush();
  }
}

async function dispatch(argv: readonly string[], context: CommandContext, style: HelpStyle): Promise<void> {
  const [name, ...rest] = argv;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    const wanted = name === "help" && rest[0] !== undefined ? find(rest[0]) : undefined;
    context.stdout.write(wanted ? commandHelp(wanted, style) : generalHelp(COMMANDS, style));
    if (name === undefined) throw new SluiceError("usage", "no command was given");
    return;
  }
  const command = find(name);
  const raw = splitArguments(command.options, rest);
  if (raw.help) context.stdout.write(commandHelp(command, style));
  else await command.start(raw, context);
}

function find(name: string): Command {
  const command = COMMANDS.find((candidate) => candidate.name === name);
  if (command) return command;
  const guess = nearest(
    name,
    COMMANDS.map((candidate) => candidate.name),
  );
  throw new SluiceError("usage", `there is no command "${name}"`, {
    hint: guess ? `Did you mean ${guess}?` : "`sluice --help` lists the commands.",
  });
}

function styleFor(stdout: TextOutput, env: Surroundings["env"]): HelpStyle {
  const colours = stdout.interactive && !env.NO_COLOR;
  return {
    width: Math.min(stdout.columns, 100),
    heading: (text) => (colours ? `\u001b[1m${text}\u001b[0m` : text),
  };
}

function failureCode(stdout: TextOutput, note: (text: string) => void): number {
  if (!stdout.failure) return 0;
  note(`the results could not be written: ${stdout.failure.message}`);
  return 1;
}

function report(error: unknown, note: (text: string) => void, debug: boolean): number {
  if (error instanceof SluiceError) {
    note(debug && error.stack ? error.stack : error.message);
    return error.code === "usage" ? 2 : 1;
  }
  const message = error instanceof Error ? error.message : String(error);
  note(
    debug && error instanceof Error
      ? (error.stack ?? message)
      : `${message}\n  This is a defect in Sluice. SLUICE_DEBUG=1 shows where it happened.`,
  );
  return 1;
}
