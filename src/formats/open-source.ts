/** Chooses the file source for a caller's path, address or files. */
import { SluiceError } from "../errors.ts";
import { openFiles } from "./file-list.ts";
import type { FileSource } from "./source.ts";
import { openUrlBase } from "./url-base.ts";

/** Where a model is: its folder or address, or its files from an `<input type="file" webkitdirectory>`. */
export type ModelSource = string | URL | ArrayLike<File>;

/**
 * Opens a model's files.
 * @param source an http(s) address of a folder; a path, which is a folder in Node and relative to the page
 *   in a browser; a `file:` URL in Node; or the files of a browser's `<input type="file" webkitdirectory>`
 * @throws `usage` for anything else, `not_found` if nothing is there
 */
export async function openSource(source: ModelSource): Promise<FileSource> {
  if (source instanceof URL || typeof source === "string") {
    if (/^https?:/i.test(String(source))) return openUrlBase(source);
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
