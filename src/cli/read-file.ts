/** Reads files that a user names. */
import { createReadStream } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { SluiceError, throwIfAborted } from "../errors.ts";

/** What comes from a pipe or a device has no size, and may have no end. */
const MOST_STREAMED_BYTES = 256 << 20;

/**
 * @param hint where such a file comes from, for a file that does not exist
 * @param mostStreamed bytes that a pipe or a device may give
 * @throws SluiceError `not_found`, `aborted`, `bad_file` for a pipe or a device that goes on and on
 */
export async function readWholeFile(
  path: string,
  signal: AbortSignal,
  hint?: string,
  mostStreamed = MOST_STREAMED_BYTES,
): Promise<Uint8Array> {
  try {
    return (await stat(path)).isFile()
      ? await readFile(path, { signal })
      : await readStream(path, mostStreamed, signal);
  } catch (cause) {
    throwIfAborted(signal);
    if (cause instanceof SluiceError) throw cause;
    const message = `${path} cannot be read: ${(cause as Error).message}`;
    throw new SluiceError("not_found", message, { cause, ...(hint !== undefined && { hint }) });
  }
}

async function readStream(path: string, most: number, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of createReadStream(path, { signal }) as AsyncIterable<Buffer>) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes <= most) continue;
    throw new SluiceError("bad_file", `${path} goes on after ${most} bytes`, {
      hint: "Name a file: it may be as large as it likes.",
    });
  }
  return Buffer.concat(chunks);
}
