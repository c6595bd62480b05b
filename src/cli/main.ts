/** The command line: finds the command, runs it, and turns the outcome into messages and an exit code. */

import { nearest } from "../arguments/suggest.ts";
import { SluiceError, throwIfAborted } from "../errors.ts";
import { showText } from "../show.ts";
import { LineEditor } from "./chat/line-editor.ts";
import type { Command } from "./command.ts";
import type { CommandShape } from "./command-shape.ts";
import { COMMANDS } from "./commands.ts";
import type { CommandContext, Library } from "./context.ts";
import { commandHelp, familyHelp, generalHelp, type HelpStyle, optionHelp } from "./help.ts";
import { type SignalSource, watchInterrupts } from "./interrupts.ts";
import { library } from "./library.ts";
import { commandHint, optionHint } from "./option-hint.ts";
import { optionName } from "./option-name.ts";
import { type OutputStream, TextOutput } from "./output.ts";
import { type RawArguments, splitArguments } from "./parse-arguments.ts";
import { Progress } from "./progress.ts";
import { recordOf } from "./run-record.ts";
import type { InputStream } from "./streams.ts";
import { forgetOutputs, whatBecame } from "./written.ts";

const NAMES = COMMANDS.map(({ name }) => name);

/** The process, or its stand-in in a test. */
export interface Surroundings {
  readonly library: Library;
  readonly stdin: InputStream;
  readonly stdout: OutputStream;
  readonly stderr: OutputStream;
  readonly signals: SignalSource;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** The package's version. */
  readonly version: string;
  readonly openEditor: CommandContext["openEditor"];
  /** Ends the process at a second Ctrl-C. */
  exit(code: number): void;
}

/**
 * Runs one command line. When it resolves, all output has left the process.
 * @param argv the arguments after the program's name
 * @returns the exit code: 0 done, 1 failed, 2 usage error, 130 or 143 interrupted
 */
export async function main(argv: readonly string[], surroundings: Partial<Surroundings> = {}): Promise<number> {
  const world: Surroundings = {
    library,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    signals: process,
    env: process.env,
    version: "unknown",
    openEditor: (completer) =>
      process.stdin.isTTY && process.stderr.isTTY ? new LineEditor(process.stdin, process.stderr, completer) : null,
    exit: (code) => process.exit(code),
    ...surroundings,
  };
  const began = new Date();
  forgetOutputs();
  const abort = new AbortController();
  const stdout = new TextOutput(world.stdout, () => abort.abort());
  const stderr = new TextOutput(world.stderr);
  const progress = new Progress(stderr);
  const sayWaiting = (): void => {
    progress.clear();
    stderr.write("sluice: stopping as soon as the device has finished what it was given; Ctrl-C again ends at once\n");
  };
  const interrupts = watchInterrupts(world.signals, () => abort.abort(), world.exit, sayWaiting);
  const context: CommandContext = {
    library: world.library,
    stdin: world.stdin,
    stdout,
    signal: abort.signal,
    progress,
    record: (device) => recordOf(["sluice", ...argv], world.version, device, began),
    note(text) {
      progress.clear();
      stderr.write(`sluice: ${text}\n`);
    },
    say(text) {
      progress.clear();
      stderr.write(text);
    },
    openEditor: world.openEditor,
    async untilShutdown() {
      // Not if it is the reader of the output who has gone, such as one who waited for the address.
      if (interrupts.exitCode !== null) throwIfAborted(abort.signal);
      await new Promise<void>((resolve) => interrupts.takeOver(resolve));
    },
    divertInterrupts: (handler) => interrupts.divert(handler),
  };
  let error: unknown = null;
  const line: Line = { shape: null, raw: null };
  try {
    await dispatch(argv, line, context, styleFor(stdout, world.env), world.version);
  } catch (thrown) {
    error = thrown;
  } finally {
    interrupts.release();
    progress.clear();
  }
  // Only now is it known whether all output could be written.
  await stdout.flush();
  const code = conclude(error, line, interrupts.exitCode, context, world.env.SLUICE_DEBUG === "1");
  await stderr.flush();
  // Input that was not read to its end would keep the process alive.
  world.stdin.destroy?.();
  return code;
}

/** How far a command line has been understood. */
interface Line {
  shape: CommandShape | null;
  raw: RawArguments | null;
}

async function dispatch(
  argv: readonly string[],
  line: Line,
  context: CommandContext,
  style: HelpStyle,
  version: string,
): Promise<void> {
  const { stdout } = context;
  const [word, ...rest] = argv;
  if (word === undefined) {
    throw new SluiceError("usage", "no command was given", { hint: `There are ${NAMES.join(", ")}: sluice --help` });
  }
  if (word === "--version") return stdout.write(`${version}\n`);
  const isHelp = (text: string | undefined) => text === "help" || text === "--help" || text === "-h";
  const family = familyOf(isHelp(word) ? rest : argv.filter((text) => !isHelp(text)));
  if (argv.length === 2 && argv.some(isHelp) && family.length > 0) return stdout.write(familyHelp(family, style));
  if (isHelp(word)) return stdout.write(helpOn(rest, style));
  const { command, args } = find(argv);
  line.shape = command;
  const raw = splitArguments(command, args);
  line.raw = raw;
  if (raw.help) return stdout.write(commandHelp(command, style));
  await command.start(raw, context);
}

/** What `sluice help …` prints: help of a command, of an option with or without its dashes, or of everything. */
function helpOn(words: readonly string[], style: HelpStyle): string {
  const [word = ""] = words;
  if (words.length === 0) return generalHelp(COMMANDS, style);
  const wanted = word.startsWith("--") ? word : optionName(word);
  const keys = COMMANDS.flatMap(({ options }) => Object.keys(options));
  const key = keys.find((candidate) => optionName(candidate) === wanted);
  if (key !== undefined && !NAMES.includes(word)) return optionHelp(key, COMMANDS, style);
  if (word.startsWith("--")) {
    const guess = nearest(word, keys.map(optionName));
    throw new SluiceError("usage", `no command takes ${showText(word, 60)}`, {
      hint: guess ? `Did you mean ${guess}?` : "`sluice help COMMAND` lists the options of a command.",
    });
  }
  return commandHelp(find(words).command, style);
}

/** The commands of two words that begin with this word. */
function familyOf([word]: readonly string[]): readonly Command[] {
  return COMMANDS.filter(({ name }) => name.startsWith(`${word} `));
}

/** The command that a line begins with, and the words after its name. */
function find(argv: readonly string[]): { readonly command: Command; readonly args: readonly string[] } {
  for (const length of [2, 1]) {
    const typed = argv.slice(0, length).join(" ");
    const command = COMMANDS.find(({ name }) => name === typed);
    if (command) return { command, args: argv.slice(length) };
  }
  const [word = ""] = argv;
  const family = familyOf(argv).map(({ name }) => name);
  if (family.length > 0) {
    const [, second] = argv;
    const guess = second === undefined ? null : nearest(`${word} ${second}`, family);
    throw new SluiceError("usage", `"${showText([word, second ?? ""].join(" ").trim(), 60)}" is not a command`, {
      hint: guess ? `Did you mean ${guess}?` : `There are ${family.join(", ")}.`,
    });
  }
  if (word.startsWith("-")) {
    throw new SluiceError("usage", `unknown option ${showText(word, 60)}`, {
      hint: "The command comes first: sluice COMMAND [arguments] [options]",
    });
  }
  const guess = nearest(word, NAMES) ?? nearest(argv.slice(0, 2).join(" "), NAMES);
  throw new SluiceError("usage", `unknown command "${showText(word, 60)}"`, {
    hint: guess ? `Did you mean ${guess}?` : `There are ${NAMES.join(", ")}.`,
  });
}

function styleFor(stdout: TextOutput, env: Surroundings["env"]): HelpStyle {
  const bold = stdout.interactive && !env.NO_COLOR && env.TERM !== "dumb";
  return {
    width: Math.min(Math.max(stdout.columns, 40), 100),
    heading: (text) => (bold ? `\u001b[1m${text}\u001b[22m` : text),
  };
}

/** Files and folders that a line asks to be written. */
function outputsOf(shape: CommandShape | null, raw: RawArguments | null): readonly string[] {
  if (!shape || !raw) return [];
  return [...raw.options].flatMap(([key, paths]) => (shape.options[key]?.isOutput ? paths : []));
}

/** Reports what went wrong, if anything did. @returns the exit code */
function conclude(
  error: unknown,
  { shape, raw }: Line,
  interrupted: number | null,
  { stdout, note }: CommandContext,
  debug: boolean,
): number {
  if (stdout.failure) {
    note(`the results could not be written: ${stdout.failure.message}`);
    return 1;
  }
  if (interrupted !== null) {
    if (error instanceof SluiceError && error.code === "aborted") {
      const became = whatBecame(outputsOf(shape, raw));
      if (became !== "") note(`interrupted: ${became}`);
    }
    // A full disk is one, whoever wanted to stop.
    if (error instanceof SluiceError && error.code === "not_written") note(error.message);
    return interrupted;
  }
  // The reader has seen enough and left: stopping the work then is not a failure.
  if (error === null || (stdout.closed && error instanceof SluiceError && error.code === "aborted")) return 0;
  const { message, stack } = error instanceof Error ? error : new Error(String(error));
  const text = debug && stack ? stack : message;
  if (!(error instanceof SluiceError)) {
    const where = debug ? "" : " SLUICE_DEBUG=1 shows where it happened.";
    note(`${text}\n  This is a defect in Sluice.${where}`);
    return 1;
  }
  const hints = [shape && optionHint(error, shape, raw), commandHint(error)].filter((hint) => hint !== null);
  note([text, ...hints].join("\n  "));
  return error.code === "usage" ? 2 : 1;
}
