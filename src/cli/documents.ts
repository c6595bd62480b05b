/** Prompts, texts and conversations from files: plain text, or JSON lines with `text`, `tokens` or `messages`. */
import { Place } from "../arguments/place.ts";
import { SluiceError } from "../errors.ts";
import { duplicateKey } from "../formats/strict-json.ts";
import type { ChatMessage } from "../index.ts";
import { show } from "../show.ts";
import { chatMessages } from "../tokenizer/checked.ts";
import { readWholeFile } from "./read-file.ts";

/** A text, or token ids, which need no tokenizer. */
export type Document = string | readonly number[];

/** Messages, or a text, which is the user's only message. */
export type Conversation = string | readonly ChatMessage[];

/**
 * The documents of a file: one per line of a `.jsonl` file; any other file is one text.
 * @throws SluiceError `not_found`, `aborted`, or `bad_file` naming the line
 */
export async function readDocuments(path: string, signal: AbortSignal): Promise<readonly Document[]> {
  const content = await readTextFile(path, signal);
  return isJsonLines(path) ? parseJsonLines(content, path, parseDocument) : [content];
}

/**
 * The lines of a file, one document per line: JSON in a `.jsonl` file, text in any other. Blank lines are skipped.
 * @param what the name of a line's content, for messages
 * @throws SluiceError `not_found`, `aborted`, or `bad_file` naming the line
 */
export async function readLines(
  path: string,
  what: "prompt" | "sentence" | "text",
  signal: AbortSignal,
): Promise<readonly Document[]> {
  return linesOf(await readTextFile(path, signal), path, what, parseDocument);
}

/**
 * The conversations of a file, one per line: `{"messages": […]}`, a list of messages or `{"text": "…"}` in a `.jsonl` file,
 * the user's only message in any other. Blank lines are skipped.
 * @throws SluiceError as {@link readLines}
 */
export async function readConversations(
  path: string,
  what: "sentence" | "text",
  signal: AbortSignal,
): Promise<readonly Conversation[]> {
  return linesOf<Conversation>(await readTextFile(path, signal), path, what, parseConversation);
}

function linesOf<Line>(
  content: string,
  path: string,
  what: string,
  parse: (line: string, where: string) => Line,
): readonly (Line | string)[] {
  const lines = isJsonLines(path)
    ? parseJsonLines(content, path, parse)
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

function parseJsonLines<Line>(
  content: string,
  path: string,
  parse: (line: string, where: string) => Line,
): readonly Line[] {
  return content
    .split(/\r?\n/)
    .flatMap((line, index) => (line.trim() === "" ? [] : [parse(line, `${path}, line ${index + 1}`)]));
}

function parseJson(line: string, where: string, hint: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new SluiceError("bad_file", `${where} is not JSON: ${(cause as Error).message}`, { hint, cause });
  }
  const twice = duplicateKey(line);
  if (twice !== null) throw new SluiceError("bad_file", `${where} has ${show(twice)} twice`, { hint });
  return value;
}

function parseConversation(line: string, where: string): Conversation {
  const hint =
    'Each line is {"messages": [{"role": "user", "content": "…"}]}, or {"text": "…"} for one message of the user.';
  const value = parseJson(line, where, hint);
  const { messages, text } = (Array.isArray(value) ? { messages: value } : (value ?? {})) as Record<string, unknown>;
  if (messages !== undefined) {
    const read = chatMessages.read(messages, new Place(where, "messages", "bad_file"));
    if (read.length > 0) return read as readonly ChatMessage[];
    throw new SluiceError("bad_file", `${where}: "messages" is empty`, { hint });
  }
  if (typeof text === "string") return text;
  const fault = text === undefined ? 'neither "messages" nor "text"' : '"text" that is not a string';
  throw new SluiceError("bad_file", `${where} has ${fault}`, { hint });
}

function parseDocument(line: string, where: string): Document {
  const hint = 'Each line is an object: {"text": "…"} or {"tokens": [1, 2, 3]}.';
  const value = parseJson(line, where, hint);
  const { text, tokens, messages } = (value ?? {}) as Readonly<Record<string, unknown>>;
  // Data sets may have both. The ids are exact, so they win.
  if (tokens !== undefined) {
    if (isTokenList(tokens)) return tokens;
    throw new SluiceError("bad_file", `${where}: "tokens" is not a list of token ids`, { hint });
  }
  if (typeof text === "string") return text;
  const fault = text === undefined ? 'neither "text" nor "tokens"' : '"text" that is not a string';
  const isConversation = messages !== undefined || Array.isArray(value);
  throw new SluiceError("bad_file", `${where} has ${fault}`, {
    hint: isConversation ? "Fits read conversations with --chat." : hint,
  });
}

function isTokenList(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every((id) => Number.isSafeInteger(id) && id >= 0);
}
