/** The errors of a cache that cannot be written. */
import { SluiceError } from "../errors.ts";

/** @param path what could not be written */
export function notWritten(path: string, cause: unknown): SluiceError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const [problem, hint] = reasonOf(code) ?? [message, "Set HF_HUB_CACHE to a folder that can be written."];
  return new SluiceError("not_written", `${path} cannot be written: ${problem}`, { hint, cause });
}

function reasonOf(code: string | undefined): readonly [problem: string, hint: string] | null {
  if (code === "ENOSPC" || code === "EDQUOT" || code === "EFBIG") {
    return [
      "the disk is full",
      "Make room (`sluice models list` shows what the cache holds), or set HF_HUB_CACHE to another disk. What has come is kept.",
    ];
  }
  if (code === "EROFS" || code === "EACCES" || code === "EPERM") {
    return ["the cache is read-only", "Set HF_HUB_CACHE, or HF_HOME, to a folder that you may write to."];
  }
  return null;
}

/** Does the work, and reports whatever the disk says as what could not be written. */
export async function writing<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof SluiceError ? error : notWritten(path, error);
  }
}
