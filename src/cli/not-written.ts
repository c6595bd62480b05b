/** The error of an output that the disk refuses. */
import { SluiceError } from "../errors.ts";

const FULL = "Make room, or name a place on another disk.";
const FORBIDDEN = "Name a place where you may write.";

/** What to do, by the system's code. */
const HINTS: ReadonlyMap<string | undefined, string> = new Map([
  ["ENOSPC", FULL],
  ["EDQUOT", FULL],
  ["EFBIG", FULL],
  ["EROFS", FORBIDDEN],
  ["EACCES", FORBIDDEN],
  ["EPERM", FORBIDDEN],
  ["ENAMETOOLONG", "Choose a shorter name."],
  ["ENOENT", "The folder has gone: make it again."],
  ["ENXIO", "Start what reads it, or name a file."],
]);

/** @param path as the user named it */
export function notWritten(path: string, cause: unknown): SluiceError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const hint = HINTS.get(code) ?? "Check the place, or name another.";
  return new SluiceError("not_written", `${path} cannot be written: ${message}`, { hint, cause });
}
