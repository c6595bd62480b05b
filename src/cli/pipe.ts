/** A named pipe as an output: its reader may come later, but not never. */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** How long a pipe may be without a reader. */
const PATIENCE_MS = 10_000;
/** Between two tries. */
const LOOK_MS = 20;

/**
 * Opening and writing would wait in a thread that nothing can end, so both are tried without waiting.
 * @throws the system's errors: `ENXIO` if nobody reads, `EPIPE` if the reader has gone
 */
export async function writePipe(path: string, bytes: Uint8Array, patienceMs = PATIENCE_MS): Promise<void> {
  const handle = await openPipe(path, patienceMs);
  try {
    for (let done = 0; done < bytes.length; ) {
      done += (await unless("EAGAIN", handle.write(bytes, done)))?.bytesWritten ?? (await pause());
    }
  } finally {
    await handle.close();
  }
}

async function openPipe(path: string, patienceMs: number): Promise<FileHandle> {
  const flags = constants.O_WRONLY | constants.O_NONBLOCK;
  for (let waited = 0; waited < patienceMs; waited += LOOK_MS) {
    const handle = await unless("ENXIO", open(path, flags));
    if (handle) return handle;
    await pause();
  }
  return open(path, flags);
}

/** Undefined for an error of this code. */
async function unless<T>(code: string, work: Promise<T>): Promise<T | undefined> {
  return work.catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== code) throw cause;
    return undefined;
  });
}

/** @returns 0, what was done meanwhile */
function pause(): Promise<0> {
  return new Promise((resolve) => setTimeout(resolve, LOOK_MS, 0));
}
