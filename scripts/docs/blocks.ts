/** What a page of the documentation asks its reader to run: the fenced blocks of Markdown, the examples of a module. */

/** What can be done with a block, by the first word after its fence. */
export const languages = ["sh", "ts", "html", "json", "python", "text"] as const;
export type Language = (typeof languages)[number];

export interface Block {
  /** Path in the repository. */
  readonly page: string;
  /** Line of the block's first line of text, from 1. */
  readonly line: number;
  readonly language: Language;
  readonly text: string;
  /** The name a reader gives to a file of this text; undefined if it has none. */
  readonly file: string | undefined;
  /** Why it is not run here; undefined if it is. */
  readonly reason: string | undefined;
  /** Why CI does not run it; undefined if it does. */
  readonly slow: string | undefined;
}

export interface Page {
  readonly path: string;
  readonly blocks: readonly Block[];
  /** What is wrong with the page as such, each as `page:line: sentence`. */
  readonly faults: readonly string[];
}

const fence = /^(?<indent> {0,3})(?<marks>`{3,}|~{3,})(?<info>[^\n]*)$/;
/** A command outside of a fenced block, where the script would not run it. */
const looseCommand = /^ {4,}(?:\$ )?(?:npx |npm |sluice )/;

/**
 * Reads a page.
 *
 * The info string of a fence is a language, then the name of a file in an `html` block, then `norun: REASON` if the
 * block cannot be run by a machine: ```` ```sh norun: needs a model of 500 MB ````; or `slow: REASON` if it takes too
 * long for CI, where then only its types are checked. A block without a language is output and is not run.
 *
 * @param path in the repository
 * @param text Markdown, or TypeScript if the path ends with `.ts`: the `@example` blocks of its doc comments
 */
export function readPage(path: string, text: string): Page {
  return path.endsWith(".ts") ? readModule(path, text) : readMarkdown(path, text);
}

function readMarkdown(page: string, text: string): Page {
  const lines = text.split("\n");
  const blocks: Block[] = [];
  const faults: string[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    const line = lines[at] ?? "";
    const opened = fence.exec(line)?.groups;
    if (!opened) {
      if (looseCommand.test(line)) faults.push(`${page}:${at + 1}: a command outside of a fenced block`);
      continue;
    }
    const { indent = "", marks = "", info = "" } = opened;
    const begin = at + 1;
    do at += 1;
    while (at < lines.length && !closes(lines[at] ?? "", marks));
    if (at === lines.length) faults.push(`${page}:${begin}: the fence is never closed`);
    const body = lines.slice(begin, at).map((part) => (part.startsWith(indent) ? part.slice(indent.length) : part));
    const block = blockOf({ page, line: begin + 1, text: body.join("\n") }, info.trim());
    if (typeof block === "string") faults.push(`${page}:${begin}: ${block}`);
    else blocks.push(block);
  }
  return { path: page, blocks, faults };
}

function closes(line: string, marks: string): boolean {
  const closing = fence.exec(line)?.groups;
  return closing?.info?.trim() === "" && (closing.marks ?? "").startsWith(marks);
}

function blockOf(place: Pick<Block, "page" | "line" | "text">, info: string): Block | string {
  const match =
    /^(?<language>\S*)(?:\s+(?<file>(?!norun|slow)[\w./-]+))?(?:\s+(?<mark>norun|slow): *(?<why>.*))?$/.exec(
      info,
    )?.groups;
  if (!match) return `"${info}" is not LANGUAGE [FILE] [norun: REASON | slow: REASON]`;
  const { file, mark, why } = match;
  const language = languages.find((known) => known === (match.language === "" ? "text" : match.language));
  if (!language) return `the language "${match.language}" is not one of ${languages.join(", ")}`;
  if (why?.trim() === "") return `${mark}: without a reason`;
  if (language === "html" && !file) return "an html block needs the name of its file, as in ```html index.html";
  return {
    ...place,
    language,
    file,
    reason: mark === "norun" ? why : undefined,
    slow: mark === "slow" ? why : undefined,
  };
}

/** The `@example` blocks of doc comments, up to the next tag or the end of the comment. */
function readModule(page: string, text: string): Page {
  const lines = text.split("\n");
  const blocks: Block[] = [];
  for (let at = 0; at < lines.length; at += 1) {
    if (!/^\s*\* @example\s*$/.test(lines[at] ?? "")) continue;
    const begin = at + 1;
    do at += 1;
    while (at < lines.length && !/^\s*\*\/|^\s*\* @/.test(lines[at] ?? ""));
    const body = lines.slice(begin, at).map((line) => line.replace(/^\s*\* ?/, ""));
    blocks.push({
      page,
      line: begin + 1,
      language: "ts",
      text: body.join("\n"),
      file: undefined,
      reason: undefined,
      slow: undefined,
    });
  }
  return { path: page, blocks, faults: [] };
}
