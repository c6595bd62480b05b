/** What Hugging Face's cache holds, whoever downloaded it. */
import type { Dirent } from "node:fs";
import { lstat, readdir, readFile, readlink, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import type { CachedFile, CachedModel, CachedRevision } from "./store.ts";

/** `models--org--name`, or `models--name` of the hub's early models. */
const FOLDER = /^models--(.+)$/;

/** A file of a snapshot, by its path there. */
export interface ScannedFile extends CachedFile {
  /** Its content's address on the disk, which several files may share. */
  readonly inode: string;
  /** When it was last read or written, in milliseconds. */
  readonly usedMs: number;
}

/** @param cache a folder that need not be there */
export async function scanCache(cache: string): Promise<readonly CachedModel[]> {
  const models: CachedModel[] = [];
  for (const entry of await entriesOf(cache)) {
    const [, name] = FOLDER.exec(entry.name) ?? [];
    if (name === undefined || !entry.isDirectory()) continue;
    models.push(await scanModel(name.replace("--", "/"), join(cache, entry.name)));
  }
  return models.sort((a, b) => (a.repo < b.repo ? -1 : 1));
}

async function scanModel(repo: string, where: string): Promise<CachedModel> {
  const refs = await refsOf(join(where, "refs"));
  const revisions: CachedRevision[] = [];
  const contents = new Map<string, ScannedFile>();
  for (const { name: commit } of await entriesOf(join(where, "snapshots"))) {
    const files = await filesUnder(join(where, "snapshots", commit));
    for (const file of files) contents.set(file.inode, file);
    const at = [...refs].filter(([, target]) => target === commit).map(([ref]) => ref);
    revisions.push({ commit, refs: at.sort(), files: files.map(({ path, bytes, etag }) => ({ path, bytes, etag })) });
  }
  const used = Math.max(...[...contents.values()].map(({ usedMs }) => usedMs));
  return {
    repo,
    where,
    bytes: [...contents.values()].reduce((sum, { bytes }) => sum + bytes, 0),
    partialBytes: await partialBytesIn(join(where, "blobs")),
    lastUsed: Number.isFinite(used) ? new Date(used) : null,
    revisions,
  };
}

/** Every file below a folder, links followed; those that lead nowhere are left out. */
export async function filesUnder(folder: string, prefix = ""): Promise<readonly ScannedFile[]> {
  const files: ScannedFile[] = [];
  for (const entry of await entriesOf(folder)) {
    const path = join(folder, entry.name);
    const name = `${prefix}${entry.name}`;
    if (entry.isDirectory()) {
      files.push(...(await filesUnder(path, `${name}/`)));
      continue;
    }
    const found = await orNull(stat(path, { bigint: false }));
    if (!found?.isFile()) continue;
    const etag = entry.isSymbolicLink() ? basename(await readlink(path)) : null;
    const usedMs = Math.max(found.atimeMs, found.mtimeMs);
    files.push({ path: name, bytes: found.size, etag, inode: `${found.dev}:${found.ino}`, usedMs });
  }
  return files;
}

/** Branches and tags, which may have slashes, with their commits. */
export async function refsOf(folder: string, prefix = ""): Promise<ReadonlyMap<string, string>> {
  const refs = new Map<string, string>();
  for (const entry of await entriesOf(folder)) {
    const path = join(folder, entry.name);
    const name = `${prefix}${entry.name}`;
    if (entry.isDirectory()) for (const [ref, commit] of await refsOf(path, `${name}/`)) refs.set(ref, commit);
    else refs.set(name, ((await orNull(readFile(path, "utf8"))) ?? "").trim());
  }
  return refs;
}

async function partialBytesIn(blobs: string): Promise<number> {
  const partials = (await entriesOf(blobs)).filter(({ name }) => name.endsWith(".incomplete"));
  const sizes = await Promise.all(
    partials.map(async ({ name }) => (await orNull(lstat(join(blobs, name))))?.size ?? 0),
  );
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** In the order of names; none if there is no such folder. */
async function entriesOf(folder: string): Promise<readonly Dirent[]> {
  const entries = await orNull(readdir(folder, { withFileTypes: true }));
  return (entries ?? []).sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Null if what is asked for does not exist: others may remove files meanwhile. */
async function orNull<T>(work: Promise<T>): Promise<T | null> {
  return work.catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT" || error.code === "ENOTDIR") return null;
    throw error;
  });
}
