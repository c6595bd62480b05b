/** A model at an address: a folder, or one GGUF file. */
import type { FileSource } from "./source.ts";
import { openUrlBase, type UrlBaseOptions } from "./url-base.ts";

const GGUF = /\/([^/]+\.gguf)$/i;

/**
 * @param address http(s), of a folder, or of a file that ends in .gguf. Its query is sent with every request.
 * @throws `usage` for anything else
 */
export async function openUrl(address: string | URL, options: UrlBaseOptions = {}): Promise<FileSource> {
  const url = URL.canParse(String(address)) ? new URL(address) : null;
  const file = url && GGUF.exec(url.pathname)?.[1];
  if (!file) return openUrlBase(address, options);
  url.pathname = url.pathname.slice(0, -file.length);
  const { openGgufFolder } = await import("./gguf/model-folder.ts");
  return openGgufFolder(openUrlBase(url, options), nameOf(file));
}

/** The name that an address spells in its own way. */
function nameOf(spelled: string): string {
  try {
    return decodeURIComponent(spelled);
  } catch {
    // Not an escape after all: the address means what it says.
    return spelled;
  }
}
