/** Reading the tokenizer's JSON files. */
import { SluiceError } from "../errors.ts";
import { type FileSource, readJson } from "../formats/source.ts";

export type JsonObject = Readonly<Record<string, unknown>>;

export function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Reads a file that holds one JSON object; null if there is no such file.
 * @throws SluiceError `bad_file` if it holds anything else
 */
export async function readJsonObject(
  source: FileSource,
  path: string,
  signal?: AbortSignal,
): Promise<JsonObject | null> {
  if (!(await source.exists(path, signal))) return null;
  const value = await readJson(source, path, signal);
  if (isObject(value)) return value;
  throw new SluiceError("bad_file", `${source.describe(path)}: does not hold a JSON object`, {
    hint: "The file is damaged or another one: download it again.",
  });
}
