/** How a case ended, and what counts as a fault. */
import { openSync, writeSync } from "node:fs";
import { SluiceError } from "../../src/errors.ts";
import { type Files, type Random, Refusal, type Target } from "./target.ts";

export interface Outcome {
  /** `read`, the code of the error that refused the files, or `fault`. */
  readonly result: string;
  /** The first line of what was thrown. */
  readonly said: string;
  /** Processor time of this process. */
  readonly cpuMs: number;
  /** How much more memory the process had at its peak than before. */
  readonly grownMb: number;
}

/** How an error begins that says that a target's own sets are wrong. */
export const UNSOUND = "A sound set is refused";

export async function tryFiles(target: Target, files: Files, random: Random): Promise<Outcome> {
  forgetPeak();
  const memory = process.resourceUsage().maxRSS;
  const before = process.cpuUsage();
  const { result, said } = await target.read(files, random).then(
    () => ({ result: "read", said: "" }),
    (error: unknown) => ({ result: codeOf(error), said: firstLine(error) }),
  );
  const { user, system } = process.cpuUsage(before);
  return { result, said, cpuMs: (user + system) / 1000, grownMb: (process.resourceUsage().maxRSS - memory) / 1024 };
}

let peak: number | null | undefined;

/** From here on the process's greatest memory is counted anew, where the system can do that (Linux). */
function forgetPeak(): void {
  if (peak === undefined) peak = process.platform === "linux" ? openSync("/proc/self/clear_refs", "w") : null;
  if (peak !== null) writeSync(peak, "5");
}

function codeOf(error: unknown): string {
  if (error instanceof Refusal) return error.code;
  return error instanceof SluiceError && isRefusal(error) ? error.code : "fault";
}

/** A refusal says something, and not everything. */
function isRefusal({ message }: SluiceError): boolean {
  return message.length > 0 && message.length < 4000 && !/\[object |defect in Sluice/.test(message);
}

function firstLine(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : `thrown: ${typeof error}`;
  const place =
    error instanceof Error && !(error instanceof SluiceError) ? (error.stack ?? "").split("\n    at ")[1] : "";
  return `${text.split("\n")[0]?.slice(0, 300)}${place ? ` (${place.replace(/^.*\/(src|scripts)\//, "$1/").slice(0, 120)})` : ""}`;
}

/** Time and memory that files of this size may take: a second for each 10 MB, and 64 MB more than they have. */
export function overspent({ cpuMs, grownMb }: Outcome, files: Files): string | null {
  const megabytes = [...files.values()].reduce((sum, { length }) => sum + length, 0) / 1e6;
  if (cpuMs > 1000 * Math.max(1, megabytes / 10)) return `${Math.round(cpuMs)} ms of processor time`;
  if (grownMb > megabytes + 64) return `${Math.round(grownMb)} MB more memory`;
  return null;
}
