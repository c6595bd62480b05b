/** Runs cases in a process that may be lost, and confirms what looks wrong. */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { Range, Report } from "./child.ts";
import { UNSOUND } from "./outcome.ts";

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

/** Tries cases 0 to `count` of each target, in order; yields a summary after each. */
export async function* runTargets(names: readonly string[], seed: number, count: number): AsyncGenerator<Summary> {
  // One process serves all targets, as long as none of their cases ends it.
  const run = new Run(
    seed,
    names.map((target) => ({ target, first: 0, end: count })),
  );
  for (const target of names) {
    const results = new Map<string, number>();
    const faults: Fault[] = [];
    let worstMs = 0;
    for (let index = 0; index < count; index++) {
      const report = await run.report(target, index);
      if (typeof report === "string") {
        faults.push({ index, what: report });
        continue;
      }
      worstMs = Math.max(worstMs, report.cpuMs);
      results.set(report.result, (results.get(report.result) ?? 0) + 1);
      if (report.result === "fault") faults.push({ index, what: report.said });
      else if (report.overspent && (await overspendsAgain(target, seed, index))) {
        faults.push({ index, what: report.overspent });
      }
    }
    yield { target, cases: count, results, faults, worstMs };
  }
}

/** What was slow or large once may have been the machine's doing: it counts if a fresh process does it again. */
async function overspendsAgain(target: string, seed: number, index: number): Promise<boolean> {
  const report = await new Run(seed, [{ target, first: index, end: index + 1 }]).report(target, index);
  return typeof report === "string" || report.overspent !== null;
}

/** The cases of some ranges, one after another; a process that ends at one is replaced by another after it. */
class Run {
  readonly #seed: number;
  #ranges: readonly Range[];
  readonly #reports: Report[] = [];
  #lost: string | null | undefined;
  #isRunning = false;
  #wake: () => void = () => undefined;

  constructor(seed: number, ranges: readonly Range[]) {
    this.#seed = seed;
    this.#ranges = ranges;
  }

  /** What became of a case; a text says how it ended the process. Cases are asked for in order. */
  async report(target: string, index: number): Promise<Report | string> {
    for (;;) {
      const next = this.#reports.shift();
      if (next) return next;
      if (!this.#isRunning && this.#lost !== undefined) {
        const lost = this.#lost;
        // This is the fuzzer's own fault, and the same for every case.
        if (lost?.includes(UNSOUND)) throw new Error(lost);
        this.#lost = undefined;
        const at = this.#ranges.findIndex((range) => range.target === target);
        this.#ranges = this.#ranges.slice(at).map((range, i) => (i === 0 ? { ...range, first: index + 1 } : range));
        return lost ?? "the process ended without a report";
      }
      if (!this.#isRunning) this.#start();
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  #start(): void {
    const child = fork(
      fileURLToPath(new URL("./child.ts", import.meta.url)),
      [`${this.#seed}`, JSON.stringify(this.#ranges)],
      {
        execArgv: [...process.execArgv, `--max-old-space-size=${HEAP_MB}`],
        stdio: ["ignore", "ignore", "pipe", "ipc"],
      },
    );
    this.#isRunning = true;
    let said = "";
    let isHanging = false;
    const giveUp = (): void => {
      isHanging = true;
      child.kill("SIGKILL");
    };
    // The first answer waits for the modules too.
    let timer = setTimeout(giveUp, 3 * HANG_MS);
    child.stderr?.on("data", (text: Buffer) => {
      said = (said + text.toString()).slice(-4000);
    });
    child.on("message", (report: Report) => {
      clearTimeout(timer);
      timer = setTimeout(giveUp, HANG_MS);
      this.#reports.push(report);
      this.#wake();
    });
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      this.#isRunning = false;
      if (isHanging) this.#lost = `no answer in ${HANG_MS / 1000} s`;
      else if (code === 0) this.#lost = null;
      else this.#lost = `the process ended (${signal ?? `code ${code}`}): ${lastError(said)}`;
      this.#wake();
    });
  }
}

function lastError(text: string): string {
  return (/^.*(?:Error|heap).*$/m.exec(text)?.[0] ?? text.trim().split("\n").at(-1) ?? "").slice(0, 300);
}
