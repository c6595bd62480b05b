/** Where Node remembers what the tuner found: files in the cache folder that the software GPU is unpacked into, too. */
import { randomBytes } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { cacheFolders } from "../gpu/node-swiftshader.ts";
import type { TuningStore } from "./remembered.ts";

/** @param folder default: `$XDG_CACHE_HOME/sluice`, else `~/.cache/sluice` */
export function openStore(folder: string = cacheFolders()[0] as string): TuningStore {
  const place = (name: string): string => join(folder, name);
  return {
    place,
    async read(name) {
      try {
        return await readFile(place(name), "utf8");
      } catch (error) {
        if ((error as { readonly code?: unknown }).code === "ENOENT") return null;
        throw error;
      }
    },
    async write(name, text) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      // Beside its place, then moved there: no process ever reads half a file.
      const fresh = `${place(name)}.${process.pid}.${randomBytes(4).toString("hex")}`;
      try {
        await writeFile(fresh, text);
        await rename(fresh, place(name));
      } finally {
        await rm(fresh, { force: true });
      }
    },
  };
}
