/** Where model files come from: a folder, a web address, or files that a user picked in a page. */
import { SluiceError } from "../errors.ts";
import { show } from "../show.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { parseJson } from "./json.ts";
import type { Span } from "./read-ahead.ts";
import { foreignFile, RECOGNISED_BYTES } from "./recognise.ts";

/**
 * A flat view of one model's files. Paths are relative, with `/` between folders. Every method throws
 * `aborted` once its signal fires, `not_found` for a file that is missing or cannot be read, and `usage` after
 * {@link FileSource.close}.
 */
export interface FileSource {
  /** The folder, the address without its query, or the picked folder's name: for messages. */
  readonly label: string;
  /** How to name one of its files in a message, such as `weights/gpt2/config.json`. */
  describe(path: string): string;
  /** Is there such a file? Errors other than its absence (no permission, no network) still throw. */
  exists(path: string, signal?: AbortSignal): Promise<boolean>;
  /** Length in bytes. */
  size(path: string, signal?: AbortSignal): Promise<number>;
  /**
   * Bytes [begin, end). The array is fresh, starts its buffer, and belongs to the caller.
   * @throws `bad_file` if the file ends before `end`
   */
  read(path: string, begin: number, end: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
  /** A whole file of at most `maxBytes`, default {@link MAX_TEXT_BYTES}. */
  readAll(path: string, maxBytes?: number, signal?: AbortSignal): Promise<Uint8Array<ArrayBuffer>>;
  /** The value of a JSON file that is made when it is asked for, and stored nowhere; undefined for any other file. */
  json?(path: string, signal?: AbortSignal): Promise<unknown>;
  /** For weights that are not in safetensors: how they are opened, and in which files they are. */
  readonly weights?: {
    open(signal?: AbortSignal): Promise<Checkpoint>;
    files(signal?: AbortSignal): Promise<readonly string[]>;
  };
  /**
   * Says which files will be asked for. A distant source begins to fetch them, all at once: small files as a whole, of
   * weights the beginning. What is wrong with one is reported when it is asked for.
   * @param onAnswer receives how many answers have come
   */
  expect?(paths: readonly string[], signal?: AbortSignal, onAnswer?: (count: number) => void): void;
  /** Says that these parts of a file will be read in order. A distant source fetches them ahead. */
  readAhead?(path: string, spans: readonly Span[], signal?: AbortSignal): void;
  /** Whether the server only sends the file from its beginning, so that a step back in it is another download. */
  isForwardOnly(path: string): boolean;
  /**
   * All paths, or those in one folder; empty if there is no such folder. Null if the source cannot be
   * listed, as over HTTP.
   */
  list(folder?: string): Promise<readonly string[] | null>;
  /**
   * Resolves when everything that was read is known to be right: a source that is read while it is fetched verifies
   * files at their ends, a folder looks whether a file was written to meanwhile. Absent if what is read is what there is.
   * @throws `bad_file` if a file was wrong
   */
  settle?(signal?: AbortSignal): Promise<void>;
  /** Releases handles and connections. May be called again. */
  close(): Promise<void>;
}

/** Enough for the largest tokenizer.json in circulation (about 40 MB), small enough to hold. */
export const MAX_TEXT_BYTES = 100_000_000;

/** Refuses a path that could leave the source: absolute, with `..`, or with another system's separators. */
export function checkPath(path: string): void {
  const parts = path.split("/");
  if (
    parts.some((part) => part === "" || part === "." || part === "..") ||
    /[\\:?#]/.test(path) ||
    path.includes("\0")
  ) {
    throw new SluiceError("usage", `${show(path)} is not a plain relative path inside the model's folder`);
  }
}

/** Refuses a range that is not two whole numbers in order. */
export function checkRange(where: string, begin: number, end: number): void {
  if (!Number.isSafeInteger(begin) || !Number.isSafeInteger(end) || begin < 0 || end < begin) {
    throw new SluiceError("usage", `${where}: bytes ${begin} to ${end} are not a range`);
  }
}

/** The error for a file that ends before the requested bytes. */
export function endsEarly(where: string, size: number, end: number): SluiceError {
  return new SluiceError("bad_file", `${where}: the file ends at byte ${size}, but bytes up to ${end} were wanted`, {
    hint: "The file is cut short, or was replaced while it was read. Download it again.",
  });
}

/** A file of at most `maxBytes` in one range: {@link FileSource.readAll} of a source that knows sizes beforehand. */
export async function readWhole(
  source: Pick<FileSource, "describe" | "size" | "read">,
  path: string,
  maxBytes = MAX_TEXT_BYTES,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const size = await source.size(path, signal);
  if (size > maxBytes) throw tooLarge(source.describe(path), size, maxBytes);
  return source.read(path, 0, size, signal);
}

/** The error for a file too large to be held whole. */
export function tooLarge(where: string, size: number | null, maxBytes: number): SluiceError {
  const found = size === null ? "more" : `${size} bytes`;
  return new SluiceError(
    "bad_file",
    `${where}: the file has ${found}; at most ${maxBytes} bytes of such a file are read`,
    {
      hint: "Check that this is the right file.",
    },
  );
}

/** The error of using a source after `close()`. */
export function closedSource(label: string): SluiceError {
  return new SluiceError("usage", `${label}: this source of files was closed`);
}

/**
 * Reads a whole UTF-8 file. A byte order mark is dropped.
 * @throws `bad_file` for data that is not text, and for what replaces a text, such as Git LFS's pointer to it
 */
export async function readText(source: FileSource, path: string, signal?: AbortSignal): Promise<string> {
  const bytes = await source.readAll(path, MAX_TEXT_BYTES, signal);
  const foreign = foreignFile(bytes.subarray(0, RECOGNISED_BYTES), "text", source.describe(path));
  if (foreign) throw foreign;
  return decodeText(bytes, source.describe(path));
}

/**
 * Reads and parses a JSON file, as Python would: see `formats/json.ts`.
 * @param maxBytes of the file, default {@link MAX_TEXT_BYTES}
 * @throws `bad_file`, naming the file's format if it is known and not JSON
 */
export async function readJson(
  source: FileSource,
  path: string,
  signal?: AbortSignal,
  maxBytes = MAX_TEXT_BYTES,
): Promise<unknown> {
  const made = await source.json?.(path, signal);
  if (made !== undefined) return made;
  const bytes = await source.readAll(path, maxBytes, signal);
  const where = source.describe(path);
  try {
    return parseJson(decodeText(bytes, where), where);
  } catch (error) {
    throw foreignFile(bytes.subarray(0, RECOGNISED_BYTES), "json", where) ?? error;
  }
}

function decodeText(bytes: Uint8Array, where: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new SluiceError("bad_file", `${where}: not valid UTF-8 text`, { cause });
  }
}
