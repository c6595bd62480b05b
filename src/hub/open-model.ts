/** A model's files, wherever they are: in a folder, at an address, among picked files, or on a hub by their name. */
import { type ModelSource, openSource } from "../formats/open-source.ts";
import type { FileSource } from "../formats/source.ts";
import type { OpenModelOptions } from "./open-options.ts";
import { parseReference } from "./reference.ts";

/**
 * Opens a model's files. A name such as `org/name` means a folder if there is one of that name, else a model on the hub.
 * @throws SluiceError `usage`, `not_found`, `not_written`, `bad_file`, `aborted`
 */
export async function openModelFiles(source: ModelSource, options: OpenModelOptions = {}): Promise<FileSource> {
  const reference = typeof source === "string" ? parseReference(source) : null;
  if (typeof source !== "string" || !reference) return openSource(source, options.onNotice);
  // Bundlers for browsers swap this module for page-hub.ts (scripts/page-faces.json says so), hence the late import.
  const { openReference } = await import("./node-hub.ts");
  return openReference(source, reference, options);
}
