/** Result files: checked before the work, written whole or not at all. */
import { constants } from "node:fs";
import { access, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { SluiceError } from "../errors.ts";

export interface OutFile {
  /** Puts the bytes in place of whatever the file held. @throws SluiceError `not_found` if that fails */
  write(bytes: Uint8Array): Promise<void>;
}

/**
 * Makes sure, as far as can be known beforehand, that a file can be written.
 * @throws SluiceError `not_found` if it cannot
 */
export async function prepareOutFile(path: string): Promise<OutFile> {
  const existing = await stat(path).catch(unlessMissing);
  if (existing?.isDirectory()) {
    throw new SluiceError("not_found", `${path} is a folder`, { hint: "Name a file: --out FILE.safetensors" });
  }
  // Through a link the file behind it is replaced. A device such as /dev/null cannot be, and is written to.
  const target = existing ? await realpath(path) : path;
  const replaced = existing === null || existing.isFile();
  await access(replaced ? dirname(target) : target, constants.W_OK).catch((cause: NodeJS.ErrnoException) => {
    const missing = cause.code === "ENOENT";
    throw new SluiceError("not_found", `${path} cannot be written: ${missing ? "there is no such folder" : cause.message}`, {
      hint: missing ? `Make it first: mkdir -p ${dirname(target)}` : "Choose another place with --out.",
      cause,
    });
  });
  return {
    async write(bytes) {
      try {
        if (replaced) await replaceFile(target, bytes);
        else await writeFile(target, bytes);
      } catch (cause) {
        throw new SluiceError("not_found", `${path} could not be written: ${(cause as Error).message}`, { cause });
      }
    },
  };
}

/** A reader sees the old file or the new one, never a part: the new one is written next to it, then renamed. */
async function replaceFile(target: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${target}.${process.pid}.tmp`;
  try {
    await writeFile(temporary, bytes);
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function unlessMissing(error: NodeJS.ErrnoException): null {
  if (error.code === "ENOENT") return null;
  throw new SluiceError("not_found", `${error.path ?? "The file"} cannot be written: ${error.message}`, { cause: error });
}
