/** What a page's storage refuses, as errors of ours. */
import { SluiceError } from "../errors.ts";

/** @throws SluiceError `not_written` for what the browser refuses to write */
export async function writing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause;
    const isFull = (cause as DOMException).name === "QuotaExceededError";
    throw new SluiceError(
      "not_written",
      isFull ? "This browser has no room left for the model" : `This browser cannot keep the model: ${cause}`,
      { hint: isFull ? MAKE_ROOM : "Leave private browsing, or allow this site to keep data.", cause },
    );
  }
}

/** What to do about too little room. */
export const MAKE_ROOM = "Remove models with removeModel() (listModels() names them), or free space on the disk.";
