/** Help texts, laid out from the commands' declarations. */
import type { Command } from "./command.ts";
import type { CommandShape } from "./command-shape.ts";
import { optionName } from "./option-name.ts";

export interface HelpStyle {
  /** Columns to fill. */
  readonly width: number;
  /** Emphasises headings. */
  heading(text: string): string;
}

const INDENT = "  ";
/** Longer terms get their own line. */
const TERM_WIDTH = 28;
const SHORT_EXAMPLE = 72;

/** `sluice --help` */
export function generalHelp(commands: readonly Command[], style: HelpStyle): string {
  return [
    "Sluice runs GPT-2 and Llama models in WebGPU compute shaders.\n",
    `${style.heading("Usage:")} sluice COMMAND [arguments] [options]\n`,
    section(
      "Commands",
      definitions(
        commands.map(({ name, summary }) => [name, summary]),
        style,
      ),
      style,
    ),
    section("Examples", shortExamples(commands).join(""), style),
    paragraph(
      "A MODEL is a folder in Hugging Face's layout (config.json, model.safetensors, tokenizer.json, …) or the web " +
        "address of one. `sluice help COMMAND` describes a command, and `sluice help OPTION` lists the commands that take an " +
        "option.",
      style,
    ),
    paragraph(
      "Results go to standard output, everything else to standard error. Exit codes: 0, the work is done; 1, it failed; 2, " +
        "usage error: an option or argument makes no sense; 130, interrupted by Ctrl-C; 143, by SIGTERM. NO_COLOR turns " +
        "colours off; SLUICE_DEBUG=1 adds the stack to an error.",
      style,
    ),
  ].join("\n");
}

/** Lines that fit an ordinary terminal; each command's help has the others. */
function shortExamples(commands: readonly Command[]): readonly string[] {
  return commands
    .map(({ examples }) => `${INDENT}sluice ${examples[0].line}\n`)
    .filter((line) => line.length <= SHORT_EXAMPLE);
}

/** `sluice fit --help`: help of a family of commands, such as `fit …`. */
export function familyHelp(commands: readonly Command[], style: HelpStyle): string {
  const list = definitions(
    commands.map(({ name, summary }) => [name, summary]),
    style,
  );
  return `${section("Commands", list, style)}\n${paragraph("`sluice help COMMAND` describes each.", style)}`;
}

/** `sluice help OPTION`: the commands that take it, each with the option's help. */
export function optionHelp(key: string, commands: readonly Command[], style: HelpStyle): string {
  const taking = commands.flatMap(({ name, options }): Definition[] => {
    const option = options[key];
    return option ? [[name, option.help]] : [];
  });
  return section(optionName(key), definitions(taking, style), style);
}

/** `sluice COMMAND --help` */
export function commandHelp(command: CommandShape, style: HelpStyle): string {
  const positionals = Object.entries(command.positionals);
  const options = Object.entries(command.options).map(([key, option]): Definition => {
    const name = optionName(key);
    const again = option.repeatable ? "; may be repeated" : "";
    const value = option.words ? `[${option.value}]` : option.value;
    return [value === null ? name : `${name} ${value}`, option.help + again];
  });
  const words = positionals.map(([key, { required, list }]) => {
    const word = list ? `${key.toUpperCase()}…` : key.toUpperCase();
    return required ? word : `[${word}]`;
  });
  const parts = [
    `${style.heading("Usage:")} ${["sluice", command.name, ...words, "[options]"].join(" ")}\n`,
    ...command.description.map((text) => paragraph(text, style)),
  ];
  if (positionals.length > 0) {
    const terms = positionals.map(([key, { help }]): Definition => [key.toUpperCase(), help]);
    parts.push(section("Arguments", definitions(terms, style), style));
  }
  parts.push(section("Options", definitions([...options, ["-h, --help", "Show this text"]], style), style));
  const examples = command.examples.map(({ line, shows }) => `${INDENT}${shows}\n${INDENT}${INDENT}sluice ${line}\n`);
  parts.push(section(examples.length > 1 ? "Examples" : "Example", examples.join("\n"), style));
  return parts.join("\n");
}

function section(title: string, body: string, style: HelpStyle): string {
  return `${style.heading(`${title}:`)}\n${body}`;
}

type Definition = readonly [term: string, meaning: string];

function definitions(list: readonly Definition[], style: HelpStyle): string {
  const longest = Math.max(...list.map(([term]) => term.length));
  const column = INDENT.length + Math.min(longest, TERM_WIDTH) + 2;
  const lines = list.map(([term, meaning]) => {
    const [first = "", ...rest] = wrap(meaning, style.width - column);
    const margin = " ".repeat(column);
    const head = `${INDENT}${term}`;
    const start = head.length + 2 <= column ? head.padEnd(column) + first : `${head}\n${margin}${first}`;
    return [start, ...rest.map((line) => margin + line)].join("\n");
  });
  return `${lines.join("\n")}\n`;
}

function paragraph(text: string, style: HelpStyle): string {
  return `${wrap(text, style.width).join("\n")}\n`;
}

/** Lines of at most `width` characters, broken at spaces; a longer word gets its own line. */
function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === "" ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
