/** The weights and data that tests read, by their paths in the repository. In a page: test/page/support/files.ts. */
import { readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";

/** What `load()` accepts for a folder of the repository: a path in Node, an address in a page. */
export function location(path: string): string {
  return fileURLToPath(new URL(`../../${path}`, import.meta.url));
}

/** The bytes of a file under weights/, test/golden/ or test/data/. */
export async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  return new Uint8Array(await readFile(location(path)));
}

export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readBytes(path));
}

/** A JSON file's contents, which the caller knows the type of. */
export async function readJson<T>(path: string): Promise<T> {
  return JSON.parse(await readText(path)) as T;
}
