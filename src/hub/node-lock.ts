/**
 * A lock between processes: a file that its owner keeps young. Node has no flock, which Python's tools use, so the two do
 * not wait for each other. That costs bandwidth and nothing else: Python writes to a file of its own.
 */
import { randomUUID } from "node:crypto";
import { readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { hostname } from "node:os";
import { pause } from "../formats/url-fetch.ts";

/** How often an owner shows that it lives. */
const BEAT_MS = 1000;
/** An owner that has been silent for this long is gone. */
const SILENT_MS = 15_000;
/** One whose process does not exist on this machine is gone after this long, since containers number theirs anew. */
const DEAD_SILENT_MS = 3000;
/** Between two looks at a lock that another has. */
const LOOK_MS = 200;

export interface Lock {
  release(): Promise<void>;
}

/**
 * Waits until the lock is free, and takes it.
 * @param path whose folder exists
 * @param onWait called once if another has it
 * @throws SluiceError `aborted`; what the file system throws if the file cannot be made
 */
export async function takeLock(path: string, signal: AbortSignal | undefined, onWait: () => void): Promise<Lock> {
  const owner = JSON.stringify({ host: hostname(), pid: process.pid, id: randomUUID() });
  for (let waited = false; ; ) {
    try {
      await writeFile(path, owner, { flag: "wx" });
      return held(path, owner);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    }
    if (await isAbandoned(path)) {
      await takeAway(path);
      continue;
    }
    if (!waited) onWait();
    waited = true;
    await pause(LOOK_MS, signal);
  }
}

function held(path: string, owner: string): Lock {
  const beat = setInterval(() => {
    const now = new Date();
    // It was taken away from a process that slept too long: both then write the same bytes to the same places.
    utimes(path, now, now).catch(() => undefined);
  }, BEAT_MS);
  beat.unref();
  return {
    async release() {
      clearInterval(beat);
      if ((await contentOf(path)) === owner) await rm(path, { force: true });
    },
  };
}

async function isAbandoned(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => null);
  if (!found) return false;
  const silent = Date.now() - found.mtimeMs;
  if (silent > SILENT_MS) return true;
  return silent > DEAD_SILENT_MS && isDead(await contentOf(path));
}

function isDead(owner: string): boolean {
  const [, host, pid] = /^\{"host":"([^"]*)","pid":(\d+),/.exec(owner) ?? [];
  if (host !== hostname() || pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "ESRCH";
  }
}

/** Renamed first, so that of two who find it abandoned one takes it away. */
async function takeAway(path: string): Promise<void> {
  const aside = `${path}.${randomUUID().slice(0, 8)}`;
  await rename(path, aside).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ENOENT") throw error;
  });
  await rm(aside, { force: true });
}

async function contentOf(path: string): Promise<string> {
  return readFile(path, "utf8").catch(() => "");
}
