/** A folder that comes into being as a whole: written under another name beside it, then renamed. */
import { appendFile, mkdir, readdir, rename, rm, rmdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { SluiceError } from "../errors.ts";
import { checkPath } from "./source.ts";

export interface NewFolder {
  /** Adds to the end of a file, which the first call makes. */
  append(path: string, bytes: Uint8Array): Promise<void>;
  /** Gives the folder its name. */
  finish(): Promise<void>;
  /** Removes what was written. */
  discard(): Promise<void>;
}

/**
 * @param path of a folder that is not there yet, or empty; the folders around it are made
 * @throws SluiceError `usage` for one that holds something or cannot be made
 */
export async function createFolder(path: string): Promise<NewFolder> {
  const folder = resolve(path);
  const parts = `${folder}.${process.pid}.part`;
  const failed = (cause: unknown): SluiceError =>
    new SluiceError("usage", `${path} cannot be written: ${(cause as Error).message}`, { cause });
  const found = await readdir(folder).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return null;
    throw failed(cause);
  });
  if (found && found.length > 0) {
    throw new SluiceError("usage", `${path} is there already and holds ${found.length} files`, {
      hint: "Name a new folder, or remove this one.",
    });
  }
  try {
    await mkdir(dirname(folder), { recursive: true });
    await mkdir(parts);
  } catch (cause) {
    throw failed(cause);
  }
  return {
    async append(file, bytes) {
      checkPath(file);
      await appendFile(join(parts, file), bytes).catch((cause: unknown) => {
        throw new SluiceError("not_found", `${join(path, file)} cannot be written: ${(cause as Error).message}`, {
          cause,
        });
      });
    },
    async finish() {
      try {
        if (found) await rmdir(folder);
        await rename(parts, folder);
      } catch (cause) {
        throw failed(cause);
      }
    },
    discard: () => rm(parts, { recursive: true, force: true }),
  };
}
