/** Files on disk for what reads no others. All cases of a process use one folder, since folders are slow to make. */
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Files } from "./target.ts";

/** Memory as a folder, which Linux has: on a disk a case takes several times as long. */
const MEMORY = "/dev/shm";

let folder: string | undefined;

/** Calls `use` with a folder that holds these files alone. */
export async function onDisk(files: Files, use: (folder: string) => Promise<void>): Promise<void> {
  const place = scratchFolder();
  for (const [name, content] of files) writeFileSync(join(place, name), content);
  try {
    await use(place);
  } finally {
    for (const name of readdirSync(place)) rmSync(join(place, name), { recursive: true });
  }
}

function scratchFolder(): string {
  if (folder === undefined) {
    const made = mkdtempSync(join(existsSync(MEMORY) ? MEMORY : tmpdir(), "sluice-fuzz-"));
    process.on("exit", () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  return folder;
}
