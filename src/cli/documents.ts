/** Texts and prompts from files: plain text, or JSON lines with `text` or `tokens`. */
import { readFile } from "node:fs/promises";
import { SluiceError } from "../errors.ts";

/** A text, or ids that need no tokenizer. */
export type Document = string | readonly number[];

/** A whole text file as one document; a `.jsonl` file as one a line. */
export async function readDocuments(path: string): Promise<readonly Document[]> {
  const text = await readTextFile(path);
  return path.endsWith(".jsonl") ? parseJsonLines(text, path) : [text];
}

/** One prompt a line; blank lines are passed over. */
export async function readPrompts(path: string): Promise<readonly Document[]> {
  const text = await readTextFile(path);
  const prompts = path.endsWith(".jsonl")
    ? parseJsonLines(text, path)
    : text.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (prompts.length === 0) throw new SluiceError("usage", `${path} holds no prompt`);
  return prompts;
}

async function readTextFile(path: string): Promise<string> {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "ERR_ENCODING_INVALID_ENCODED_DATA")
      throw new SluiceError("bad_file", `${path} is not UTF-8 text`, { cause });
    throw new SluiceError("not_found", `${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
}

function parseJsonLines(text: string, path: string): readonly Document[] {
  return text
    .split(/\r?\n/)
    .flatMap((line, i) => (line.trim() === "" ? [] : [parseLine(line, `${path}, line ${i + 1}`)]));
}

function parseLine(line: string, where: string): Document {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch (cause) {
    throw new SluiceError("bad_file", `${where} is not JSON: ${(cause as Error).message}`, { cause });
  }
  const { text, tokens } = (typeof value === "object" && value !== null ? value : {}) as {
    text?: unknown;
    tokens?: unknown;
  };
  if (Array.isArray(tokens) && tokens.every((token) => Number.isInteger(token))) return tokens as number[];
  if (typeof text === "string") return text;
  throw new SluiceError("bad_file", `${where} has neither "text" (a string) nor "tokens" (whole numbers)`);
}
