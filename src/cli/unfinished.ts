/** What is being written under another name: removed if the process ends before it is whole, as at a second Ctrl-C. */
import { rmSync } from "node:fs";

const paths = new Set<string>();
let isWatching = false;

/** @returns to be called when the file or folder has its name, or is gone */
export function unfinished(path: string): () => void {
  paths.add(path);
  if (!isWatching) {
    isWatching = true;
    process.on("exit", () => {
      for (const each of paths) rmSync(each, { recursive: true, force: true });
    });
  }
  return () => paths.delete(path);
}
