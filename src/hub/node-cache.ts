/**
 * Hugging Face's cache, as huggingface_hub lays it out, so that each uses what the other has downloaded:
 *
 *   models--ORG--NAME/blobs/ETAG                  contents
 *   models--ORG--NAME/snapshots/COMMIT/PATH       links to them
 *   models--ORG--NAME/refs/REVISION               the commit of a branch or tag
 *   models--ORG--NAME/.no_exist/COMMIT/PATH       files that a commit does not have
 *   .locks/models--ORG--NAME/ETAG.lock            whose download is under way
 */
import { constants } from "node:fs";
import {
  chmod,
  copyFile,
  mkdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  statfs,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { SluiceError } from "../errors.ts";
import { openFolder } from "../formats/node-folder.ts";
import type { FileSource } from "../formats/source.ts";
import { removeModel, removeRevision } from "./node-cache-removal.ts";
import { filesUnder, scanCache } from "./node-cache-scan.ts";
import { takeLock } from "./node-lock.ts";
import { NodePartial } from "./node-partial.ts";
import { writing } from "./node-refusal.ts";
import type { CachedModel, HubStore, PartialFile, StoredFile } from "./store.ts";

/** Marks the folder for programs that make backups, in the words of huggingface_hub. */
const CACHEDIR_TAG =
  "Signature: 8a477f597d28d172789f06886806bc55\n" +
  "# This file is a cache directory tag created by huggingface_hub.\n" +
  "# For information about cache directory tags, see:\n" +
  "#\thttps://bford.info/cachedir/\n";

export class NodeCache implements HubStore {
  readonly label: string;
  readonly #wantsLinks: boolean;

  /** @param wantsLinks false to move contents to their places, as is done where links cannot be made */
  constructor(folder: string, wantsLinks = true) {
    this.label = folder;
    this.#wantsLinks = wantsLinks;
  }

  /** The folder of a commit's files. */
  snapshot(repo: string, commit: string): string {
    return join(this.#model(repo), "snapshots", commit);
  }

  async commitOf(repo: string, revision: string): Promise<string | null> {
    const commit = (await readIfThere(join(this.#model(repo), "refs", revision)))?.trim() ?? "";
    return /^[\w.-]{1,200}$/.test(commit) ? commit : null;
  }

  async setCommit(repo: string, revision: string, commit: string): Promise<void> {
    if (revision === commit || (await this.commitOf(repo, revision)) === commit) return;
    const path = join(this.#model(repo), "refs", revision);
    await writing(path, async () => {
      await mkdir(dirname(path), { recursive: true });
      // Renamed into place, so that nobody reads a half-written one.
      const fresh = `${path}.${process.pid}.tmp`;
      await writeFile(fresh, commit);
      await rename(fresh, path);
    });
  }

  async files(repo: string, commit: string): Promise<ReadonlyMap<string, number>> {
    const files = await filesUnder(this.snapshot(repo, commit));
    return new Map(files.map(({ path, bytes }) => [path, bytes]));
  }

  async isAbsent(repo: string, commit: string, path: string): Promise<boolean> {
    return isThere(this.#absent(repo, commit, path));
  }

  async setAbsent(repo: string, commit: string, path: string): Promise<void> {
    const mark = this.#absent(repo, commit, path);
    await writing(mark, async () => {
      await mkdir(dirname(mark), { recursive: true });
      await writeFile(mark, "");
    });
  }

  async link(file: StoredFile): Promise<boolean> {
    const pointer = this.#pointer(file);
    if (await isThere(pointer)) return true;
    const blob = this.#blob(file);
    if (!(await isThere(blob))) return false;
    await writing(pointer, () => this.#point(pointer, blob, false));
    return true;
  }

  async checkRoom(bytes: number): Promise<void> {
    if (bytes === 0) return;
    await writing(this.label, () => mkdir(this.label, { recursive: true }));
    // Some file systems do not say; writing shows it then.
    const disk = await statfs(this.label).catch(() => null);
    const free = disk ? disk.bavail * disk.bsize : Number.POSITIVE_INFINITY;
    // A file system of no known size reports 0 blocks.
    if (!disk || disk.blocks === 0 || free >= bytes) return;
    const gigabytes = (count: number): string => `${(count / 1e9).toFixed(2)} GB`;
    throw new SluiceError(
      "not_written",
      `${this.label} has no room for the download: it needs ${gigabytes(bytes)}, and the disk has ${gigabytes(free)} left`,
      { hint: "Make room (`sluice models list` shows what the cache holds), or set HF_HUB_CACHE to another disk." },
    );
  }

  async openPartial(
    file: StoredFile,
    signal: AbortSignal | undefined,
    onWait: () => void,
  ): Promise<PartialFile | null> {
    const blob = this.#blob(file);
    const pointer = this.#pointer(file);
    const isDone = async (): Promise<boolean> => (await isThere(blob)) || (await isThere(pointer));
    if (await isDone()) return null;
    const mark = join(this.label, ".locks", folderOf(file.repo), `${file.etag}.lock`);
    return writing(blob, async () => {
      await mkdir(dirname(mark), { recursive: true });
      await mkdir(dirname(blob), { recursive: true });
      await this.#tag();
      // The file that Python's tools lock, for what it is worth: see node-lock.ts.
      await writeFile(mark, "", { flag: "a" });
      // Others who share the cache may wait for it; its owner alone can say so.
      await chmod(mark, 0o664).catch(() => undefined);
      const lock = await takeLock(`${mark}.sluice`, signal, onWait);
      try {
        if (await isDone()) {
          await lock.release();
          return null;
        }
        const incomplete = `${blob}.incomplete`;
        return await NodePartial.open(incomplete, lock, () =>
          writing(blob, async () => {
            await rename(incomplete, blob);
            await this.#point(pointer, blob, true);
          }),
        );
      } catch (error) {
        await lock.release();
        throw error;
      }
    });
  }

  async open(repo: string, commit: string): Promise<FileSource> {
    return openFolder(this.snapshot(repo, commit));
  }

  models(): Promise<readonly CachedModel[]> {
    return scanCache(this.label);
  }

  async remove(repo: string, commit?: string): Promise<number> {
    const model = this.#model(repo);
    const locks = join(this.label, ".locks", folderOf(repo));
    return writing(model, () => (commit === undefined ? removeModel(model, locks) : removeRevision(model, commit)));
  }

  async discard(repo: string, etag: string): Promise<void> {
    const model = this.#model(repo);
    const blob = join(model, "blobs", etag);
    await writing(blob, async () => {
      for (const path of await linksTo(model, etag)) await rm(path, { force: true });
      // Python's tools may keep one content for several models, and link to it from here.
      const kept = await realpath(blob).catch(() => blob);
      await rm(blob, { force: true });
      if (kept.startsWith(join(await realpath(this.label), "blobs"))) await rm(kept, { force: true });
    });
  }

  /** Makes the content the file of a commit. */
  async #point(pointer: string, blob: string, isNew: boolean): Promise<void> {
    await mkdir(dirname(pointer), { recursive: true });
    // What is left of a link whose content was removed.
    await rm(pointer, { force: true });
    if (this.#wantsLinks && (await linked(relative(dirname(pointer), blob), pointer))) return;
    if (isNew) await rename(blob, pointer);
    else await copyFile(blob, pointer, constants.COPYFILE_FICLONE);
  }

  async #tag(): Promise<void> {
    await writeFile(join(this.label, "CACHEDIR.TAG"), CACHEDIR_TAG, { flag: "wx" }).catch((error: Error) => {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    });
  }

  #model(repo: string): string {
    return join(this.label, folderOf(repo));
  }

  #blob({ repo, etag }: StoredFile): string {
    return join(this.#model(repo), "blobs", etag);
  }

  #pointer({ repo, commit, path }: StoredFile): string {
    return join(this.snapshot(repo, commit), path);
  }

  #absent(repo: string, commit: string, path: string): string {
    return join(this.#model(repo), ".no_exist", commit, path);
  }
}

/** `org/name` → `models--org--name` */
function folderOf(repo: string): string {
  return ["models", ...repo.split("/")].join("--");
}

/** Links of a model's commits that lead to a content. */
async function linksTo(model: string, etag: string): Promise<readonly string[]> {
  const snapshots = join(model, "snapshots");
  const files = await filesUnder(snapshots);
  return files.filter((file) => file.etag === etag).map(({ path }) => join(snapshots, path));
}

/** @returns false where links cannot be made: on Windows without the right to, on some disks */
async function linked(target: string, path: string): Promise<boolean> {
  try {
    await symlink(target, path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Another process was faster.
    if (code === "EEXIST") return true;
    if (code === "EPERM" || code === "ENOSYS" || code === "ENOTSUP" || code === "EINVAL" || code === "UNKNOWN")
      return false;
    throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw error;
  }
}

async function readIfThere(path: string): Promise<string | null> {
  return readFile(path, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR" || error.code === "EISDIR") return null;
    throw error;
  });
}
