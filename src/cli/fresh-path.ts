/**
 * Where an output is written until it is whole: a hidden name beside its place, which says which process writes there, so
 * that the next run for the same place removes what one that was killed has left.
 */
import { createHash, randomUUID } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";

/** A name has at most 255 bytes, and a character up to four. */
const STEM_CHARACTERS = 40;

/** Nobody can have foreseen the name, and put a link under it. */
export function freshPath(target: string): string {
  return join(dirname(target), `${stemOf(target)}${process.pid}-${randomUUID().slice(0, 8)}.part`);
}

/** Removes what processes of this machine that are gone were writing for a place. */
export async function removeLeftovers(target: string): Promise<void> {
  const stem = stemOf(target);
  for (const name of await readdir(dirname(target))) {
    if (!name.startsWith(stem)) continue;
    const [, pid] = /^(\d+)-[0-9a-f]{8}\.part$/.exec(name.slice(stem.length)) ?? [];
    if (pid !== undefined && isGone(Number(pid)))
      await rm(join(dirname(target), name), { recursive: true, force: true });
  }
}

/** Processes of other machines may write to a disk that both have: their numbers mean nothing here. */
function stemOf(target: string): string {
  const host = createHash("sha256").update(hostname()).digest("hex").slice(0, 8);
  return `.${[...basename(target)].slice(0, STEM_CHARACTERS).join("")}.${host}-`;
}

/** Whether the process of this number on this machine has ended. */
export function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}
