/** Result files: refused before the work if they cannot be written, never visible half-written. */
import { constants } from "node:fs";
import { access, chmod, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { SluiceError } from "../errors.ts";
import { notWritten } from "./not-written.ts";

export interface OutFile {
  /** Replaces the file's contents by the bytes. @throws SluiceError `not_written` if that fails */
  write(bytes: Uint8Array): Promise<void>;
}

/**
 * Checks in advance, as far as possible, that a file can be written.
 * @param options.mustBeNew refuse a file that exists
 * @throws SluiceError `usage` if it cannot
 */
export async function prepareOutFile(
  path: string,
  { mustBeNew = false }: { readonly mustBeNew?: boolean } = {},
): Promise<OutFile> {
  const existing = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") return null;
    throw new SluiceError("usage", `${path} cannot be written: ${cause.message}`, { cause });
  });
  if (existing && mustBeNew) throw new SluiceError("usage", `${path} exists already; name a new file`);
  if (existing?.isDirectory()) throw new SluiceError("usage", `${path} is a folder; name a file`);
  // A link's target is replaced. A device or a pipe cannot be replaced, so it is written to.
  const target = existing?.isFile() ? await realpath(path) : resolve(path);
  const replaced = existing === null || existing.isFile();
  await access(replaced ? dirname(target) : target, constants.W_OK).catch((cause: Error) => {
    throw new SluiceError("usage", `${path} cannot be written: ${cause.message}`, {
      hint: `Does the folder ${dirname(target)} exist, and may you write there?`,
      cause,
    });
  });
  return {
    async write(bytes) {
      try {
        if (replaced) await replaceFile(target, bytes, existing?.mode);
        else await writeFile(target, bytes);
      } catch (cause) {
        throw notWritten(path, cause);
      }
    },
  };
}

/**
 * A reader sees the old file or the new one, never a part: the new file is written next to the old one, then renamed.
 * @param mode of the old file, which the new one gets
 */
async function replaceFile(target: string, bytes: Uint8Array, mode: number | undefined): Promise<void> {
  const fresh = `${target}.${process.pid}.part`;
  try {
    await writeFile(fresh, bytes);
    if (mode !== undefined) await chmod(fresh, mode & 0o7777);
    await rename(fresh, target);
  } catch (error) {
    await rm(fresh, { force: true });
    throw error;
  }
}
