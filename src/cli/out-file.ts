/** Result files: refused before the work if they cannot be written, never visible half-written. */
import { constants, type Stats } from "node:fs";
import { access, chmod, readlink, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, resolve, sep } from "node:path";
import { SluiceError } from "../errors.ts";
import { freshPath, removeLeftovers } from "./fresh-path.ts";
import { notWritten } from "./not-written.ts";
import { writePipe } from "./pipe.ts";
import { unfinished } from "./unfinished.ts";
import { noteWanted, noteWritten } from "./written.ts";

export interface OutFile {
  /** Replaces the file's contents by the bytes. @throws SluiceError `not_written` if that fails */
  write(bytes: Uint8Array): Promise<void>;
  /** Writes the bytes beside the file. @throws SluiceError `not_written` if that fails */
  stage(bytes: Uint8Array): Promise<StagedFile>;
}

/** Contents of a file that are whole, but not at their place. */
interface StagedFile {
  /** @throws SluiceError `not_written` if that fails */
  takePlace(): Promise<void>;
  /** Nothing stays; without effect after `takePlace`. */
  discard(): Promise<void>;
}

/** Files that belong together: none is replaced before all are whole. @throws SluiceError `not_written` */
export async function writeTogether(
  contents: readonly (readonly [file: OutFile | undefined, bytes: Uint8Array])[],
): Promise<void> {
  const staged: StagedFile[] = [];
  try {
    for (const [file, bytes] of contents) if (file) staged.push(await file.stage(bytes));
    for (const each of staged) await each.takePlace();
  } finally {
    for (const each of staged) await each.discard();
  }
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
  if (existing?.isDirectory() || path.endsWith("/") || path.endsWith(sep))
    throw new SluiceError("usage", `${path} is a folder; name a file`);
  if (existing?.isSocket()) throw new SluiceError("usage", `${path} is a socket; name a file`);
  // A link's target is replaced. A device or a pipe cannot be replaced, so it is written to.
  const replaced = existing === null || existing.isFile();
  const target = await targetOf(path, existing);
  // A file that its owner made read-only is not to be replaced, though the folder would allow it.
  for (const place of [...(replaced ? [dirname(target)] : []), ...(existing ? [target] : [])]) {
    await access(place, constants.W_OK).catch((cause: Error) => {
      throw new SluiceError("usage", `${path} cannot be written: ${cause.message}`, {
        hint: `Does the folder ${dirname(target)} exist, and may you write there?`,
        cause,
      });
    });
  }
  const refusing = async <T>(work: Promise<T>): Promise<T> => {
    return work.catch((cause: unknown) => {
      throw notWritten(path, cause);
    });
  };
  const inPlace = (bytes: Uint8Array): StagedFile => ({
    takePlace: () => (existing?.isFIFO() ? writePipe(target, bytes) : writeFile(target, bytes)),
    discard: async () => undefined,
  });
  noteWanted(path);
  const file: OutFile = {
    async write(bytes) {
      await writeTogether([[file, bytes]]);
    },
    async stage(bytes) {
      const staged = replaced ? await refusing(stageBeside(target, bytes, existing?.mode)) : inPlace(bytes);
      return {
        ...staged,
        async takePlace() {
          await refusing(staged.takePlace());
          noteWritten(path);
        },
      };
    },
  };
  return file;
}

/** The file that a path leads to, which may not exist yet: a link may name one, too. */
async function targetOf(path: string, existing: Stats | null): Promise<string> {
  if (existing) return existing.isFile() ? realpath(path) : resolve(path);
  let target = resolve(path);
  // A circle of links is refused by `stat`.
  for (;;) {
    const next = await readlink(target).catch(() => undefined);
    if (next === undefined) return target;
    target = resolve(dirname(target), next);
  }
}

/** What a new file allows, less what the process's mask takes away. */
const NEW_MODE = 0o666;

/**
 * A reader sees the old file or the new one, never a part: the new file is written next to the old one, then renamed.
 * @param mode of the old file, which the new one gets, but for the right to run as its owner
 */
async function stageBeside(target: string, bytes: Uint8Array, mode: number | undefined): Promise<StagedFile> {
  const fresh = freshPath(target);
  const permissions = mode === undefined ? undefined : mode & 0o777;
  const finished = unfinished(fresh);
  const discard = async (): Promise<void> => {
    await rm(fresh, { force: true });
    finished();
  };
  try {
    await removeLeftovers(target);
    await writeFile(fresh, bytes, { flag: "wx", mode: permissions ?? NEW_MODE });
    if (permissions !== undefined) await chmod(fresh, permissions);
  } catch (error) {
    await discard();
    throw error;
  }
  return { takePlace: () => rename(fresh, target), discard };
}
