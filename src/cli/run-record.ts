/** What was run, when and where: measured numbers mean little without. */
import { cpus, hostname, totalmem } from "node:os";
import { withoutPasswords } from "../queue/address.ts";
import { formatBytes } from "./pace.ts";

/** The record in reports and saved results. */
export interface RunRecord {
  /** When the command began, in UTC: `2026-11-29T00:21:53Z`. */
  readonly date: string;
  /** The machine: its name, processor, memory and system. */
  readonly host: string;
  /** The command line, quoted for a shell. */
  readonly command: string;
  readonly sluice: string;
  readonly node: string;
  /** The device that computed; null if none did. */
  readonly device: string | null;
}

/**
 * @param words of the command line, the program's name first
 * @param version the package's
 */
export function recordOf(words: readonly string[], version: string, device: string | null, began: Date): RunRecord {
  const processors = cpus();
  const model = processors[0]?.model.replace(/\s+/g, " ").trim() ?? "unknown processor";
  return {
    date: began.toISOString().replace(/\.\d+Z$/, "Z"),
    host: `${hostname()}: ${model}, ${processors.length} cores, ${formatBytes(totalmem())}, ${process.platform} ${process.arch}`,
    command: withoutPasswords(words.map(quoted).join(" ")),
    sluice: version,
    node: process.versions.node,
    device,
  };
}

/** A word, quoted for a shell if it needs quotes. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
