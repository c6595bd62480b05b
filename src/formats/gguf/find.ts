/** Finds the GGUF file that a folder's model is in, if it is. */
import { SluiceError } from "../../errors.ts";
import { showText } from "../../show.ts";
import type { FileSource } from "../source.ts";
import { firstPart } from "./part-names.ts";

/** Files that are no language model: the other half of one that also sees, statistics for quantising. */
const COMPANION = /mmproj|imatrix/i;

/**
 * The folder's one GGUF file, or the first of its parts. Undefined if there is none, or if the folder cannot be listed or
 * has weights in safetensors, which go first.
 * @throws `not_found` if there are several and nothing says which is meant
 */
export async function ggufIn(folder: FileSource): Promise<string | undefined> {
  const names = (await folder.list()) ?? [];
  if (names.some((name) => name.endsWith(".safetensors") || name.endsWith(".safetensors.index.json"))) return undefined;
  const files = names.filter((name) => /\.gguf$/i.test(name) && !name.includes("/") && !COMPANION.test(name));
  const [first, ...others] = [...new Set(files.map(firstPart))].sort();
  if (others.length === 0 || names.includes("config.json")) return others.length === 0 ? first : undefined;
  throw new SluiceError("not_found", `${folder.label} holds several models: ${listed(files)}`, {
    hint: `Give one of the files, such as ${folder.describe(first as string)}.`,
  });
}

function listed(names: readonly string[]): string {
  const shown = [...names].sort().slice(0, 20);
  const more = names.length > shown.length ? `, and ${names.length - shown.length} more` : "";
  return shown.map((name) => showText(name)).join(", ") + more;
}
