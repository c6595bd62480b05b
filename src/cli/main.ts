/** The `sluice` command: chooses what to run, and turns whatever happens into messages and an exit code. */
import { SluiceError } from "../errors.ts";
import { capture } from "./commands/capture.ts";
import { chat } from "./commands/chat.ts";
import { explain } from "./commands/explain.ts";
import { generate } from "./commands/generate.ts";
import { info } from "./commands/info.ts";
import { logits } from "./commands/logits.ts";
import { perplexity } from "./commands/perplexity.ts";
import type { Command } from "./command.ts";
import type { CommandContext, InputStream, Library } from "./context.ts";
import { commandHelp, generalHelp, type HelpStyle } from "./help.ts";
import { type Interrupts, type SignalSource, watchInterrupts } from "./interrupts.ts";
import { library } from "./library.ts";
import { type OutputStream, TextOutput } from "./output.ts";
import { splitArguments } from "./parse-arguments.ts";
import { Progress } from "./progress.ts";
import { nearest } from "./suggest.ts";

const COMMANDS: readonly Command[] = [generate, chat, logits, capture, perplexity, info, explain];

/** The process around the command; what is left out is the real one's. */
export interface Surroundings {
  readonly library?: Library;
  readonly stdin?: InputStream;
  readonly stdout?: OutputStream;
  readonly stderr?: OutputStream;
  readonly signals?: SignalSource;
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Ends the process at a second Ctrl-C. */
  readonly exit?: (code: number) => void;
  /** Of the package. */
  readonly version?: string;
}

/**
 * Runs one command line. When it resolves, everything written has left the process.
 * @param argv what follows `sluice`
 * @returns the exit code: 0 done, 1 the work failed, 2 bad usage, 130 or 143 interrupted
 */
export async function main(argv: readonly string[], surroundings: Surroundings = {}): Promise<number> {
  const env = surroundings.env ?? process.env;
  const abort = new AbortController();
  const stdout = new TextOutput(surroundings.stdout ?? process.stdout, () => abort.abort());
  const stderr = new TextOutput(surroundings.stderr ?? process.stderr);
  const interrupts = watchInterrupts(
    surroundings.signals ?? process,
    () => abort.abort(),
    surroundings.exit ?? ((code) => process.exit(code)),
  );
  const progress = new Progress(stderr);
  const context: CommandContext = {
    library: surroundings.library ?? library,
    stdin: surroundings.stdin ?? process.stdin,
    stdout,
    signal: abort.signal,
    progress,
    note(text) {
      progress.clear();
      stderr.write(`sluice: ${text}\n`);
    },
  };
  let error: unknown = null;
  try {
    await dispatch(argv, context, styleFor(stdout, env), surroundings.version ?? "development version");
  } catch (thrown) {
    error = thrown ?? new Error("Something was thrown that is no error");
  } finally {
    interrupts.release();
  }
  progress.clear();
  await stdout.flush();
  const code = report(error, argv, { stdout, stderr, interrupts, debug: env.SLUICE_DEBUG === "1" });
  await stderr.flush();
  return code;
}

/** The first argument says what is wanted. */
async function dispatch(
  argv: readonly string[],
  context: CommandContext,
  style: HelpStyle,
  version: string,
): Promise<void> {
  const { stdout } = context;
  const [word, ...rest] = argv;
  if (word === undefined) {
    throw new SluiceError("usage", "which command?", { hint: `There are ${COMMANDS.map(({ name }) => name).join(", ")}.` });
  }
  if (word === "--version" || word === "-v") return stdout.write(`sluice ${version}\n`);
  if (word === "help" || word === "--help" || word === "-h") {
    const named = rest[0];
    return stdout.write(named === undefined ? generalHelp(COMMANDS, style) : commandHelp(find(named), style));
  }
  const command = find(word);
  const raw = splitArguments(command.options, rest);
  if (raw.help) return stdout.write(commandHelp(command, style));
  await command.start(raw, context);
}

function find(word: string): Command {
  const command = COMMANDS.find(({ name }) => name === word);
  if (command) return command;
  if (word.startsWith("-")) {
    throw new SluiceError("usage", `unknown option ${word}`, { hint: "The command comes first: sluice COMMAND [options]" });
  }
  const names = COMMANDS.map(({ name }) => name);
  const guess = nearest(word, names);
  throw new SluiceError("usage", `unknown command "${word}"`, {
    hint: guess ? `Did you mean ${guess}?` : `There are ${names.join(", ")}.`,
  });
}

interface Outcome {
  readonly stdout: TextOutput;
  readonly stderr: TextOutput;
  readonly interrupts: Interrupts;
  readonly debug: boolean;
}

/** Tells the person what went wrong, if anything did, and returns the exit code. */
function report(error: unknown, argv: readonly string[], { stdout, stderr, interrupts, debug }: Outcome): number {
  if (stdout.failure) {
    stderr.write(`sluice: the results could not be written: ${stdout.failure.message}\n`);
    return 1;
  }
  if (error === null) return 0;
  if (interrupts.exitCode !== null) {
    stderr.write("sluice: interrupted\n");
    return interrupts.exitCode;
  }
  // The reader has seen enough and left: that the work was stopped is no failure.
  if (stdout.closed && error instanceof SluiceError && error.code === "aborted") return 0;
  const stack = debug && error instanceof Error ? `${error.stack}\n` : "";
  if (!(error instanceof SluiceError)) {
    const message = error instanceof Error ? error.message : String(error);
    const ask = debug ? "" : "  Run it again with SLUICE_DEBUG=1 to see where, and please report that.\n";
    stderr.write(`sluice: ${message}\n  This is a defect in Sluice.\n${ask}${stack}`);
    return 1;
  }
  stderr.write(`sluice: ${error.message}\n`);
  if (error.code === "usage") stderr.write(`  ${whereToRead(argv[0])}\n`);
  stderr.write(stack);
  return error.code === "usage" ? 2 : 1;
}

function whereToRead(word: string | undefined): string {
  const known = COMMANDS.some(({ name }) => name === word);
  return `See: sluice ${known ? `${word} ` : ""}--help`;
}

function styleFor(stdout: TextOutput, env: Readonly<Record<string, string | undefined>>): HelpStyle {
  const bold = stdout.interactive && !env.NO_COLOR && env.TERM !== "dumb";
  return {
    width: Math.min(Math.max(stdout.columns, 40), 100),
    heading: (text) => (bold ? `\u001b[1m${text}\u001b[22m` : text),
  };
}
