/** Result files: refused before the work if they cannot be written, and never seen half-written. */
import { constants } from "node:fs";
import { access, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { SluiceError } from "../errors.ts";

/** @throws SluiceError `usage` when the file could not be written */
export async function checkWritable(path: string): Promise<void> {
  const folder = dirname(resolve(path));
  try {
    await access(folder, constants.W_OK);
  } catch (cause) {
    throw new SluiceError("usage", `${path} cannot be written: ${(cause as Error).message}`, {
      hint: `Does the folder ${folder} exist, and may you write there?`,
      cause,
    });
  }
  const existing = await stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw new SluiceError("usage", `${path} cannot be written: ${error.message}`, { cause: error });
  });
  if (existing?.isDirectory()) throw new SluiceError("usage", `${path} is a folder; name a file`);
}

/** Writes beside the file and renames. */
export async function writeResult(path: string, bytes: Uint8Array): Promise<void> {
  const fresh = `${path}.${process.pid}.part`;
  try {
    await writeFile(fresh, bytes);
    await rename(fresh, path);
  } catch (cause) {
    await rm(fresh, { force: true });
    throw new SluiceError("not_found", `${path} cannot be written: ${(cause as Error).message}`, { cause });
  }
}
