/** Commands in a conversation: lines that begin with a slash. */

import { nearest } from "../../arguments/suggest.ts";
import { SluiceError } from "../../errors.ts";
import type { Completer } from "../streams.ts";

/** The conversation that slash commands act on. */
export interface Talk {
  /** Ends the conversation. */
  leave(): void;
  /** Removes all turns; the system message stays. */
  reset(): void;
  /** Replaces the system message; undefined removes it. */
  setSystem(text: string | undefined): void;
  readonly system: string | undefined;
  /** Answers the last message again. */
  regenerate(): Promise<void>;
  save(path: string): Promise<void>;
  setStrength(id: string, value: number): void;
  setAlpha(id: string, value: number): void;
  addBundle(choice: string): Promise<void>;
  /** The stages that act, one per line. */
  stageLines(): readonly string[];
  readonly stageIds: readonly string[];
  /** Changes how tokens are drawn; values are written as on the command line. */
  setSampling(name: string, value: string): void;
  /** How tokens are drawn, one setting per line. */
  samplingLines(): readonly string[];
}

interface SlashCommand {
  readonly name: string;
  readonly aliases?: readonly string[];
  readonly takes: string;
  readonly help: string;
  /** @returns the text to print */
  run(talk: Talk, rest: string): string | undefined | Promise<string | undefined>;
}

const COMMANDS: readonly SlashCommand[] = [
  { name: "help", aliases: ["?"], takes: "", help: "List the commands", run: () => helpText() },
  {
    name: "reset",
    aliases: ["clear"],
    takes: "",
    help: "Start again; keep the system message and the interventions",
    run(talk) {
      talk.reset();
      return "The conversation starts again.";
    },
  },
  {
    name: "system",
    takes: "[TEXT]",
    help: "Replace the system message; without TEXT, show it; - removes it",
    run(talk, rest) {
      if (rest === "") return talk.system === undefined ? "There is no system message." : talk.system;
      talk.setSystem(rest === "-" ? undefined : rest);
      return rest === "-" ? "The system message is removed." : "The system message is replaced; the turns stay.";
    },
  },
  {
    name: "regenerate",
    aliases: ["again", "retry"],
    takes: "",
    help: "Answer the last message again",
    async run(talk) {
      await talk.regenerate();
      return undefined;
    },
  },
  {
    name: "save",
    takes: "FILE",
    help: "Write the conversation to a file, as JSON",
    async run(talk, rest) {
      const path = needed("save", rest, "FILE");
      await talk.save(path);
      return `The conversation is in ${path}.`;
    },
  },
  {
    name: "bundle",
    takes: "[FILE]",
    help: "Apply a bundle of interventions, from the next answer on; FILE:as=PREFIX names its stages PREFIX/ID",
    async run(talk, rest) {
      if (rest !== "") await talk.addBundle(rest);
      return stagesText(talk);
    },
  },
  { name: "stages", takes: "", help: "The stages that act, with their values", run: stagesText },
  {
    name: "strength",
    takes: "ID S",
    help: "Set a stage's strength; 0 turns it off",
    run: (talk, rest) => setValue("strength", talk, rest, (id, value) => talk.setStrength(id, value)),
  },
  {
    name: "alpha",
    takes: "ID A",
    help: "Set a stage's alpha (ace and addition have one)",
    run: (talk, rest) => setValue("alpha", talk, rest, (id, value) => talk.setAlpha(id, value)),
  },
  {
    name: "set",
    takes: "[NAME VALUE]",
    help: "Set how tokens are drawn, such as /set temperature 0.8; without arguments, show the settings",
    run(talk, rest) {
      if (rest !== "") {
        const [name = "", value = ""] = rest.split(/\s+/);
        talk.setSampling(name, value);
      }
      return talk.samplingLines().join("\n");
    },
  },
  {
    name: "exit",
    aliases: ["bye", "quit"],
    takes: "",
    help: "End the conversation (also Ctrl-D)",
    run(talk) {
      talk.leave();
      return undefined;
    },
  },
];

/** Whether a line is a command, not a message. `//` begins a message with one slash. */
export function isSlashCommand(line: string): boolean {
  return /^\/(?!\/)/.test(line.trimStart());
}

/**
 * Runs a line that begins with a slash.
 * @returns the text to print, if any
 * @throws SluiceError `usage` for an unknown command or missing arguments; errors of the command
 */
export async function runSlashCommand(talk: Talk, line: string): Promise<string | undefined> {
  const [, word = "", rest = ""] = /^\s*\/(\S*)\s*([\s\S]*)$/.exec(line) ?? [];
  const name = word.toLowerCase();
  const command = find(name);
  if (command) return command.run(talk, rest.trim());
  const guess = nearest(
    name,
    COMMANDS.map((candidate) => candidate.name),
  );
  throw new SluiceError("usage", `unknown command /${word.slice(0, 40)}`, {
    hint: guess ? `Did you mean /${guess}?` : "/help lists the commands. Type // to begin a message with a slash.",
  });
}

/** Finds a command by its name, an alias, or a unique beginning of its name. */
function find(name: string): SlashCommand | undefined {
  const exact = COMMANDS.find((command) => command.name === name || command.aliases?.includes(name));
  if (exact || name === "") return exact;
  const [begun, other] = COMMANDS.filter((command) => command.name.startsWith(name));
  return other ? undefined : begun;
}

/** Completes commands, and stage ids after commands that take one. */
export function completerFor(stageIds: () => readonly string[]): Completer {
  return (line) => {
    const typed = /^\s*\/(\S*)$/.exec(line)?.[1];
    if (typed !== undefined) {
      const names = COMMANDS.map(({ name }) => `/${name} `).filter((name) => name.startsWith(`/${typed}`));
      return [names, `/${typed}`];
    }
    const id = /^\s*\/(?:strength|alpha)\s+(\S*)$/.exec(line)?.[1];
    if (id === undefined) return [[], line];
    return [
      stageIds()
        .filter((name) => name.startsWith(id))
        .map((name) => `${name} `),
      id,
    ];
  };
}

function helpText(): string {
  const rows = COMMANDS.map(({ name, takes, help }) => [`/${name} ${takes}`.trimEnd(), help] as const);
  const width = Math.max(...rows.map(([left]) => left.length)) + 2;
  return [
    ...rows.map(([left, help]) => `  ${left.padEnd(width)}${help}`),
    '  A line that ends in \\ continues in the next; """ begins and ends a message of several lines.',
    "  Ctrl-C ends an answer; // begins a message with a slash.",
  ].join("\n");
}

function stagesText(talk: Talk): string {
  const lines = talk.stageLines();
  return lines.length > 0 ? lines.join("\n") : "No bundle acts: /bundle FILE adds one.";
}

function setValue(
  name: "strength" | "alpha",
  talk: Talk,
  rest: string,
  set: (id: string, value: number) => void,
): string {
  const parts = rest.split(/[\s=]+/).filter((part) => part !== "");
  // A single stage need not be named.
  const [only] = talk.stageIds.length === 1 ? talk.stageIds : [];
  const [id, text] = parts.length === 1 && only !== undefined ? [only, parts[0]] : parts;
  const value = Number(text);
  if (id === undefined || text === undefined || parts.length > 2 || !Number.isFinite(value)) {
    throw new SluiceError("usage", `/${name} takes a stage and a number`, { hint: `For example /${name} calm 0.5` });
  }
  set(id, value);
  return stagesText(talk);
}

function needed(command: string, rest: string, what: string): string {
  if (rest !== "") return rest;
  throw new SluiceError("usage", `/${command} takes ${what}`);
}
