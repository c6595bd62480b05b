/** Node's store of the tuner's choices: files in the cache folder, into which the software GPU is also unpacked. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolders, isPrivate } from "../gpu/node-swiftshader.ts";
import type { TuningStore } from "./remembered.ts";

/** @param folders best first; default: `$XDG_CACHE_HOME/sluice`, `~/.cache/sluice`, one for temporary files */
export function openStore(folders: readonly string[] = cacheFolders()): TuningStore {
  return {
    place: (name) => join(folders[0] ?? "", name),
    async read(name) {
      for (const folder of folders) {
        try {
          if (await isPrivate(folder)) return await readFile(join(folder, name), "utf8");
        } catch (error) {
          if ((error as { readonly code?: unknown }).code !== "ENOENT") throw error;
        }
      }
      return null;
    },
    async write(name, text) {
      const problems: string[] = [];
      for (const folder of folders) {
        try {
          await mkdir(folder, { recursive: true, mode: 0o700 });
          if (!(await isPrivate(folder))) throw new Error("another user owns it or can write to it");
          return await writeWhole(join(folder, name), text);
        } catch (error) {
          problems.push(`${folder}: ${error instanceof Error ? error.message : String(error)}`);
        }
      }
      throw new Error(problems.join("; "));
    },
  };
}

/** Written next to its place, then moved there: no process reads half a file. */
async function writeWhole(path: string, text: string): Promise<void> {
  const fresh = `${path}.${process.pid}.${randomBytes(4).toString("hex")}`;
  try {
    await writeFile(fresh, text);
    await rename(fresh, path);
  } finally {
    await rm(fresh, { force: true });
  }
}
