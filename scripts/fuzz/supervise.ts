/** Runs the cases of a target in processes that may be lost, and confirms what looks wrong. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Report } from "./child.ts";
import type { Target } from "./target.ts";

/** A case without an answer for this long hangs, whatever else the machine does. */
const HANG_MS = 20_000;
/** Of a process's heap; what files take outside it counts by the process's memory. */
const HEAP_MB = 400;

export interface Fault {
  readonly index: number;
  readonly what: string;
}

export interface Summary {
  readonly target: string;
  readonly cases: number;
  /** How many cases ended with each result: `read`, or the code of a refusal. */
  readonly results: ReadonlyMap<string, number>;
  readonly faults: readonly Fault[];
  readonly worstMs: number;
}

export async function runTarget(target: Target, seed: number, first: number, end: number): Promise<Summary> {
  const results = new Map<string, number>();
  const faults: Fault[] = [];
  let worstMs = 0;
  let next = first;
  while (next < end) {
    const lost = await runRange(target.name, seed, next, end, async (report) => {
      next = report.index + 1;
      worstMs = Math.max(worstMs, report.cpuMs);
      results.set(report.result, (results.get(report.result) ?? 0) + 1);
      if (report.result === "fault") faults.push({ index: report.index, what: report.said });
      else if (report.overspent) faults.push({ index: report.index, what: report.overspent });
    });
    if (lost === null) break;
    faults.push({ index: next, what: lost });
    next += 1;
  }
  return { target: target.name, cases: end - first, results, faults: await confirmed(target, seed, faults), worstMs };
}

/** What was slow or large once may have been the machine's doing: it counts if it happens again, in a fresh process. */
async function confirmed(target: Target, seed: number, faults: readonly Fault[]): Promise<readonly Fault[]> {
  const kept: Fault[] = [];
  for (const fault of faults) {
    if (!/ of processor time$| more memory$/.test(fault.what)) {
      kept.push(fault);
      continue;
    }
    let again: string | null = null;
    const lost = await runRange(target.name, seed, fault.index, fault.index + 1, (report) => {
      again = report.overspent;
    });
    if (lost ?? again) kept.push({ index: fault.index, what: lost ?? (again as unknown as string) });
  }
  return kept;
}

/** @returns why the process ended before the last case; null if it did not */
function runRange(
  name: string,
  seed: number,
  first: number,
  end: number,
  take: (report: Report) => void,
): Promise<string | null> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL("./child.ts", import.meta.url)), [name, `${seed}`, `${first}`, `${end}`], {
      execArgv: [...process.execArgv, `--max-old-space-size=${HEAP_MB}`],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
    let said = "";
    let isHanging = false;
    let isBegun = false;
    const giveUp = (): void => {
      isHanging = true;
      child.kill("SIGKILL");
    };
    let timer = setTimeout(giveUp, 3 * HANG_MS);
    child.stderr?.on("data", (text: Buffer) => {
      said = (said + text.toString()).slice(-4000);
    });
    child.on("message", (report: Report) => {
      isBegun = true;
      clearTimeout(timer);
      timer = setTimeout(giveUp, HANG_MS);
      take(report);
    });
    child.on("error", reject);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      if (code === 0) resolve(null);
      else if (isHanging) resolve(`no answer in ${HANG_MS / 1000} s`);
      else if (!isBegun && /A sound set|Cannot find|SyntaxError/.test(said)) reject(new Error(said));
      else resolve(`the process ended (${signal ?? `code ${code}`}): ${lastError(said)}`);
    });
  });
}

function lastError(text: string): string {
  return (/^.*(?:Error|heap).*$/m.exec(text)?.[0] ?? text.trim().split("\n").at(-1) ?? "").slice(0, 300);
}
