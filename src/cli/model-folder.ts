/** A changed model as a Hugging Face folder, written tensor by tensor and visible only when it is complete. */
import { constants } from "node:fs";
import { access, chmod, lstat, mkdir, open, readdir, realpath, rename, rm, rmdir, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { SluiceError } from "../errors.ts";
import type { ChangedModel } from "../model/changed-model.ts";
import { freshPath, removeLeftovers } from "./fresh-path.ts";
import { notWritten } from "./not-written.ts";
import { unfinished } from "./unfinished.ts";
import { noteWritten } from "./written.ts";

/**
 * Checks in advance, as far as possible, that a folder can be made. An empty folder may exist already.
 * @throws SluiceError `usage` if it cannot
 */
export async function prepareOutFolder(path: string): Promise<void> {
  const target = resolve(path);
  const entries = await readdir(target).catch(async (cause: NodeJS.ErrnoException) => {
    if (cause.code === "ENOENT") {
      if (!(await lstat(target).catch(() => null))) return [];
      throw new SluiceError("usage", `${path} is a link to what does not exist`, { hint: "Name a new folder.", cause });
    }
    if (cause.code === "ENOTDIR") throw new SluiceError("usage", `${path} is a file; name a new folder`, { cause });
    throw new SluiceError("usage", `${path} cannot be written: ${cause.message}`, { cause });
  });
  if (entries.length > 0) {
    throw new SluiceError("usage", `${path} is a folder that is not empty`, { hint: "Name a new folder." });
  }
  await readdir(dirname(target))
    .then(() => access(dirname(target), constants.W_OK))
    .catch((cause: Error) => {
      throw new SluiceError("usage", `${path} cannot be written: ${cause.message}`, { cause });
    });
}

/**
 * Writes a changed model, which is visible only when it is complete.
 * @param onProgress bytes written so far, and in all
 * @throws SluiceError `not_written` if the disk refuses, `aborted`
 */
export async function writeModelFolder(
  path: string,
  { files }: Pick<ChangedModel, "files">,
  onProgress: (done: number, total: number) => void,
  signal: AbortSignal,
): Promise<void> {
  // A link to an empty folder stays a link.
  const target = await realpath(path).catch(() => resolve(path));
  const fresh = freshPath(target);
  const total = files.reduce((sum, { byteLength }) => sum + byteLength, 0);
  let done = 0;
  await refuseOf(path, removeLeftovers(target));
  await refuseOf(path, mkdir(fresh));
  const finished = unfinished(fresh);
  try {
    for (const file of files) {
      const handle = await refuseOf(path, open(join(fresh, file.name), "w"));
      try {
        for await (const bytes of file.read(signal)) {
          // On a handle, writeFile continues where the last one ended.
          await refuseOf(path, handle.writeFile(bytes));
          done += bytes.length;
          onProgress(done, total);
        }
      } finally {
        await handle.close();
      }
    }
    await refuseOf(path, takePlace(fresh, target));
    noteWritten(path);
  } catch (error) {
    await rm(fresh, { recursive: true, force: true });
    throw error;
  } finally {
    finished();
  }
}

/** Writes a folder of files that are in memory, as {@link writeModelFolder} does. */
export async function writeFolder(
  path: string,
  contents: ReadonlyMap<string, Uint8Array>,
  signal: AbortSignal,
): Promise<void> {
  const files = [...contents].map(([name, bytes]) => ({
    name,
    byteLength: bytes.length,
    async *read() {
      yield bytes;
    },
  }));
  await writeModelFolder(path, { files }, () => undefined, signal);
}

/** Replaces an empty folder of that name, whose permissions it gets. */
async function takePlace(fresh: string, target: string): Promise<void> {
  const existing = await stat(target).catch(() => null);
  if (existing) await chmod(fresh, existing.mode & 0o777);
  await rmdir(target).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== "ENOENT") throw cause;
  });
  await rename(fresh, target);
}

async function refuseOf<T>(path: string, work: Promise<T>): Promise<T> {
  return work.catch((cause: Error) => {
    throw notWritten(path, cause);
  });
}
