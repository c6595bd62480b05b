/** The browser's counterpart of node-folder.ts: a path is an address relative to the page. */
import { SluiceError } from "../errors.ts";
import { openUrl } from "./open-url.ts";
import { pageBase } from "./page-base.ts";
import type { FileSource } from "./source.ts";

/**
 * @param path such as `models/gpt2` or `/models/gpt2`
 * @throws `usage` if the page has no http(s) address
 */
export async function openFolder(path: string): Promise<FileSource> {
  const page = pageBase();
  const address = URL.canParse(path, page) ? new URL(path, page) : null;
  if (address?.protocol !== "http:" && address?.protocol !== "https:") {
    throw new SluiceError("usage", `A page cannot read the folder ${path}`, {
      hint: "Give an http(s) address, or the files of an <input type=file webkitdirectory>.",
    });
  }
  return openUrl(address);
}
