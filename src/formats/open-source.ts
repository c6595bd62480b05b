/** Chooses the file source for a caller's path, address or files. */
import { SluiceError } from "../errors.ts";
import { openFiles } from "./file-list.ts";
import { ggufIn } from "./gguf/find.ts";
import { openUrl } from "./open-url.ts";
import type { FileSource } from "./source.ts";

/** Where a model is: its folder, GGUF file or address, or its files from an `<input type="file" webkitdirectory>`. */
export type ModelSource = string | URL | ArrayLike<File>;

/**
 * Opens a model's files. Those of a GGUF file are those of the folder that it stands for.
 * @param source an http(s) address of a folder or a GGUF file; a path, which is one of either in Node and relative to the
 *   page in a browser; a `file:` URL in Node; or the files of a browser's `<input type="file" webkitdirectory>`
 * @param note receives notices for the user
 * @throws `usage` for anything else, `not_found` if nothing is there, or several models
 */
export async function openSource(source: ModelSource, note?: (text: string) => void): Promise<FileSource> {
  const files = await openPlace(source, note);
  try {
    const gguf = files.weights ? undefined : await ggufIn(files);
    if (gguf === undefined) return files;
    const { openGgufFolder } = await import("./gguf/model-folder.ts");
    return openGgufFolder(files, gguf);
  } catch (error) {
    await files.close();
    throw error;
  }
}

/**
 * Opens the files of any folder, whatever they are.
 * @param source as for {@link openSource}
 * @param note receives notices for the user
 * @throws `usage`, `not_found`
 */
export async function openPlace(source: ModelSource, note?: (text: string) => void): Promise<FileSource> {
  if (source instanceof URL || typeof source === "string") {
    if (/^https?:/i.test(String(source))) return openUrl(source, { note });
    if (String(source).trim() === "") throw new SluiceError("usage", "The model's folder or address is empty");
    // Bundlers for browsers swap this module for page-folder.ts (scripts/page-faces.json says so), hence the late import.
    const { openFolder } = await import("./node-folder.ts");
    return openFolder(String(source));
  }
  // An input's FileList is not an array.
  if (typeof source === "object" && source !== null && "length" in source) return openFiles(Array.from(source));
  throw new SluiceError(
    "usage",
    `A model comes from a path, an http(s) address or a list of files, not from ${typeof source}`,
  );
}
