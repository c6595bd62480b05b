/** Prompts and texts from files: plain text, or JSON lines with `text` or `tokens`. */
import { SluiceError } from "../errors.ts";
import { readWholeFile } from "./read-file.ts";

/** A text, or token ids, which need no tokenizer. */
export type Document = string | readonly number[];

/**
 * The documents of a file: one per line of a `.jsonl` file; any other file is one text.
 * @throws SluiceError `not_found`, `aborted`, or `bad_file` naming the line
 */
export async function readDocuments(path: string, signal: AbortSignal): Promise<readonly Document[]> {
  const content = await readTextFile(path, signal);
  return isJsonLines(path) ? parseJsonLines(content, path) : [content];
}

/**
 * The lines of a file, one document per line: JSON in a `.jsonl` file, text in any other. Blank lines are skipped.
 * @param the name of a line's content, for messages
 * @throws SluiceError `not_found`, `aborted`, or `bad_file` naming the line
 */
export async function readLines(
  path: string,
  what: "prompt" | "sentence" | "text",
  signal: AbortSignal,
): Promise<readonly Document[]> {
  const content = await readTextFile(path, signal);
  const lines = isJsonLines(path)
    ? parseJsonLines(content, path)
    : content.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length > 0) return lines;
  throw new SluiceError("bad_file", `${path} holds no ${what}`, { hint: `Write one ${what} per line.` });
}

/** @throws SluiceError `not_found`, `aborted`, or `bad_file` for what is not UTF-8 */
export async function readTextFile(path: string, signal: AbortSignal): Promise<string> {
  const bytes = await readWholeFile(path, signal);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SluiceError("bad_file", `${path} is not UTF-8 text`, { cause });
  }
}

function isJsonLines(path: string): boolean {
  return path.toLowerCase().endsWith(".jsonl");
}

function parseJsonLines(content: string, path: string): readonly Document[] {
  return content
    .split(/\r?\n/)
    .flatMap((line, index) => (line.trim() === "" ? [] : [parseDocument(line, `${path}, line ${index + 1}`)]));
}

function parseDocument(line: string, where: string): Document {
  const hint = 'Each line is an object: {"text": "…"} or {"tokens": [1, 2, 3]}.';
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new SluiceError("bad_file", `${where} is not JSON: ${(cause as Error).message}`, { hint, cause });
  }
  const { text, tokens } = (value ?? {}) as { readonly text?: unknown; readonly tokens?: unknown };
  // Data sets may have both. The ids are exact, so they win.
  if (tokens !== undefined) {
    if (isTokenList(tokens)) return tokens;
    throw new SluiceError("bad_file", `${where}: "tokens" is not a list of token ids`, { hint });
  }
  if (typeof text === "string") return text;
  const fault = text === undefined ? 'neither "text" nor "tokens"' : '"text" that is not a string';
  throw new SluiceError("bad_file", `${where} has ${fault}`, { hint });
}

function isTokenList(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0);
}
