/** Reading prompts and texts from files and from standard input. */
import { readFile } from "node:fs/promises";
import { SluiceError, throwIfAborted } from "../errors.ts";
import type { CommandContext, InputStream } from "./context.ts";

/** A text, or token ids in its place. */
export type Document = string | readonly number[];

/**
 * The documents of a file: one a line of a `.jsonl` file; any other file is one text.
 * @throws SluiceError `not_found`, or `bad_file` naming the line
 */
export async function readDocuments(path: string, signal: AbortSignal): Promise<readonly Document[]> {
  const content = await readTextFile(path, signal);
  return isJsonLines(path) ? parseJsonLines(content, path) : [content];
}

/**
 * The prompts of a file: one a line, as JSON in a `.jsonl` file and as text in any other. Empty lines are none.
 * @throws SluiceError `not_found`, or `bad_file` naming the line
 */
export async function readPrompts(path: string, signal: AbortSignal): Promise<readonly Document[]> {
  const content = await readTextFile(path, signal);
  const prompts = isJsonLines(path)
    ? parseJsonLines(content, path)
    : content.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (prompts.length > 0) return prompts;
  throw new SluiceError("bad_file", `${path} holds no prompt`, { hint: "Write one prompt a line." });
}

/**
 * All of standard input, less one line's end at its end, which `echo` adds.
 * @throws SluiceError `usage` if it is empty, `aborted`
 */
export async function readPromptFromStdin({ stdin, signal, progress }: CommandContext): Promise<string> {
  const content = await progress.during("reading the prompt from standard input", collect(stdin, signal));
  const prompt = content.replace(/\r?\n$/, "");
  if (prompt !== "") return prompt;
  throw new SluiceError("usage", "no prompt was given, and standard input is empty", {
    hint: "Put the prompt in quotes behind the model, or give ids with --tokens.",
  });
}

async function collect(stdin: InputStream, signal: AbortSignal): Promise<string> {
  const decoder = new TextDecoder();
  const read = async (): Promise<string> => {
    let content = "";
    for await (const chunk of stdin) {
      content += typeof chunk === "string" ? chunk : decoder.decode(chunk, { stream: true });
    }
    return content + decoder.decode();
  };
  // Reading itself cannot be stopped; waiting for it can.
  const aborted = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
  const content = await Promise.race([read(), aborted]);
  throwIfAborted(signal);
  return content ?? "";
}

async function readTextFile(path: string, signal: AbortSignal): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path, { signal });
  } catch (cause) {
    throwIfAborted(signal);
    throw new SluiceError("not_found", `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SluiceError("bad_file", `${path} is not UTF-8 text`, { cause });
  }
}

function isJsonLines(path: string): boolean {
  return path.toLowerCase().endsWith(".jsonl");
}

function parseJsonLines(content: string, path: string): Document[] {
  return content
    .split(/\r?\n/)
    .map((line, index) => ({ line, where: `${path}, line ${index + 1}` }))
    .filter(({ line }) => line.trim() !== "")
    .map(({ line, where }) => parseDocument(line, where));
}

function parseDocument(line: string, where: string): Document {
  const hint = 'Each line is an object: {"text": "…"} or {"tokens": [1, 2, 3]}.';
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new SluiceError("bad_file", `${where}: not valid JSON: ${(cause as Error).message}`, { hint, cause });
  }
  const { text, tokens } = (value ?? {}) as { readonly text?: unknown; readonly tokens?: unknown };
  if (typeof text === "string" && tokens === undefined) return text;
  if (text === undefined && Array.isArray(tokens) && tokens.every((id) => Number.isSafeInteger(id) && id >= 0)) {
    return tokens as number[];
  }
  const fault = text !== undefined && tokens !== undefined ? "both `text` and `tokens`" : "neither a `text` nor `tokens`";
  throw new SluiceError("bad_file", `${where}: has ${fault}`, { hint });
}
