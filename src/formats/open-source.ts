/** Chooses how to reach model files from what the caller gave. */
import { SluiceError } from "../errors.ts";
import { openFiles } from "./file-list.ts";
import type { FileSource } from "./source.ts";
import { openUrlBase } from "./url-base.ts";

/**
 * Opens a model's files.
 * @param source an http(s) address of a folder; a path, which is a folder in Node and relative to the page
 *   in a browser; a `file:` URL in Node; or the files of a browser's `<input type="file" webkitdirectory>`
 * @throws `usage` for what is none of these, `not_found` when nothing is there
 */
export async function openSource(source: string | URL | readonly File[]): Promise<FileSource> {
  if (source instanceof URL || typeof source === "string") {
    if (/^https?:/i.test(String(source))) return openUrlBase(source);
    if (String(source).trim() === "") throw new SluiceError("usage", "The model's folder or address is empty");
    // Bundlers for browsers swap this module for page-folder.ts (package.json says so), hence the late import.
    const { openFolder } = await import("./node-folder.ts");
    return openFolder(String(source));
  }
  if (Array.isArray(source)) return openFiles(source as readonly File[]);
  throw new SluiceError(
    "usage",
    `A model comes from a path, an http(s) address or a list of files, not from ${typeof source}`,
  );
}
