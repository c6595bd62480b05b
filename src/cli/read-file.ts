/** Reads files that a user names. */
import { readFile } from "node:fs/promises";
import { SluiceError, throwIfAborted } from "../errors.ts";

/**
 * @param hint where such a file comes from, for a file that does not exist
 * @throws SluiceError `not_found`, `aborted`
 */
export async function readWholeFile(path: string, signal: AbortSignal, hint?: string): Promise<Uint8Array> {
  try {
    return await readFile(path, { signal });
  } catch (cause) {
    throwIfAborted(signal);
    const message = `${path} cannot be read: ${(cause as Error).message}`;
    throw new SluiceError("not_found", message, { cause, ...(hint !== undefined && { hint }) });
  }
}
