/** Removing from Hugging Face's cache. */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { filesUnder, refsOf } from "./node-cache-scan.ts";

/** @returns bytes that became free */
export async function removeModel(model: string, locks: string): Promise<number> {
  const before = await bytesUnder(model);
  await rm(model, { recursive: true, force: true });
  await rm(locks, { recursive: true, force: true });
  return before;
}

/**
 * Removes one commit, what leads to it, and the contents that no other commit has.
 * @returns bytes that became free
 */
export async function removeRevision(model: string, commit: string): Promise<number> {
  const before = await bytesUnder(model);
  const snapshots = join(model, "snapshots");
  const mine = await filesUnder(join(snapshots, commit));
  await rm(join(snapshots, commit), { recursive: true, force: true });
  await rm(join(model, ".no_exist", commit), { recursive: true, force: true });
  for (const [ref, target] of await refsOf(join(model, "refs"))) {
    if (target === commit) await rm(join(model, "refs", ref), { force: true });
  }
  const others = new Set((await filesUnder(snapshots)).map(({ etag }) => etag));
  for (const { etag } of mine)
    if (etag !== null && !others.has(etag)) await rm(join(model, "blobs", etag), { force: true });
  return before - (await bytesUnder(model));
}

/** Of a model's files, each counted once: links count nothing. */
async function bytesUnder(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return [];
      throw error;
    },
  );
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}
