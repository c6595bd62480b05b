/** Runs cases in a process that may be lost, and confirms what looks wrong. */
import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { oneFile } from "../one-file.ts";
import type { Range, Report } from "./child.ts";
import { UNSOUND } from "./outcome.ts";

/** A process that says nothing for this long hangs, whatever else the machine does. */
const HANG_MS = 20_000;
/** Of a process's heap; what files take outside it counts by the process's memory. */
const HEAP_MB = 400;
/** Bytes of code that run before V8 considers to optimise it: it would take a third of the time for code that runs little. */
const INTERRUPT_BUDGET = 4_000_000;
/** Attempts to spend less than was spent once: a busy machine doubles what a case takes. */
const CONFIRMATIONS = 3;
/** Cases that wait for a report; after a loss each is reported at once, which shows at which the process ends. */
const MOST_UNTOLD = 64;
/** After more processes that reported nothing it is not the cases that end them. */
const MOST_LOSSES = 10;

export interface Fault {
  readonly index: number;
  readonly what: string;
}

/** The greatest number of a target's cases, and the case that had it. */
export interface Worst {
  readonly value: number;
  readonly index: number;
}

export interface Summary {
  readonly target: string;
  readonly cases: number;
  /** How many cases ended with each result: `read`, or the code of a refusal. */
  readonly results: ReadonlyMap<string, number>;
  readonly faults: readonly Fault[];
  readonly slowestMs: Worst;
  readonly mostMb: Worst;
  /** Processor time of all cases. */
  readonly cpuMs: number;
}

/** Tries the cases of each range, in order; yields a summary after each. No two ranges are of one target. */
export async function* runRanges(ranges: readonly Range[], seed: number): AsyncGenerator<Summary> {
  // One process serves all targets, as long as none of their cases ends it.
  const run = new Run(seed, ranges);
  for (const { target, first, end } of ranges) {
    const results = new Map<string, number>();
    const faults: Fault[] = [];
    let slowestMs: Worst = { value: 0, index: first };
    let mostMb = slowestMs;
    let cpuMs = 0;
    for (let index = first; index < end; index++) {
      const report = await run.report(target, index);
      if (typeof report === "string") {
        faults.push({ index, what: report });
        continue;
      }
      cpuMs += report.cpuMs;
      if (report.cpuMs > slowestMs.value) slowestMs = { value: report.cpuMs, index };
      if (report.grownMb > mostMb.value) mostMb = { value: report.grownMb, index };
      results.set(report.result, (results.get(report.result) ?? 0) + 1);
      if (report.result === "fault") faults.push({ index, what: report.said });
      else if (report.overspent && (await overspendsAgain(target, seed, index))) {
        faults.push({ index, what: report.overspent });
      }
    }
    yield { target, cases: end - first, results, faults, slowestMs, mostMb, cpuMs };
  }
}

/** What was slow or large once may have been the machine's doing: it counts if fresh processes do it again, each time. */
async function overspendsAgain(target: string, seed: number, index: number): Promise<boolean> {
  for (let attempt = 0; attempt < CONFIRMATIONS; attempt++) {
    if (!(await overspendsAlone(target, seed, index))) return false;
  }
  return true;
}

async function overspendsAlone(target: string, seed: number, index: number): Promise<boolean> {
  const report = await new Run(seed, [{ target, first: index, end: index + 1 }]).report(target, index);
  return typeof report === "string" || report.overspent !== null;
}

/** The cases of some ranges, one after another; a process that ends at one is replaced by another after it. */
class Run {
  readonly #seed: number;
  readonly #ranges: readonly Range[];
  readonly #reports: Report[] = [];
  #isRunning = false;
  /** How the last process ended; null for one that did all that it should. */
  #lost: string | null | undefined;
  #lossesInARow = 0;
  #mostUntold = MOST_UNTOLD;
  #wake: () => void = () => undefined;

  constructor(seed: number, ranges: readonly Range[]) {
    this.#seed = seed;
    this.#ranges = ranges;
  }

  /** What became of a case; a text says how it ended the process. Cases are asked for in order. */
  async report(target: string, index: number): Promise<Report | string> {
    for (;;) {
      const next = this.#reports.shift();
      if (next) {
        this.#lossesInARow = 0;
        return next;
      }
      if (!this.#isRunning && this.#lost !== undefined) {
        const lost = this.#lost ?? "the process ended without a report";
        this.#lost = undefined;
        // This is the fuzzer's own fault, and the same for every case.
        if (lost.includes(UNSOUND) || this.#lossesInARow++ > MOST_LOSSES) throw new Error(lost);
        if (this.#mostUntold === 1) {
          this.#mostUntold = MOST_UNTOLD;
          return lost;
        }
        this.#mostUntold = 1;
      }
      if (!this.#isRunning) this.#start(target, index);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  /** Begins with a case of a target; the other targets follow. */
  #start(target: string, first: number): void {
    const at = this.#ranges.findIndex((range) => range.target === target);
    const ranges = this.#ranges.slice(at).map((range, i) => (i === 0 ? { ...range, first } : range));
    const child = spawn(
      process.execPath,
      [
        `--max-old-space-size=${HEAP_MB}`,
        `--interrupt-budget=${INTERRUPT_BUDGET}`,
        oneFile(new URL("./child.ts", import.meta.url)),
        ...[`${this.#seed}`, JSON.stringify(ranges), `${this.#mostUntold}`],
      ],
      { stdio: ["ignore", "ignore", "pipe", "pipe"] },
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
    let rest = "";
    (child.stdio[3] as Readable).setEncoding("utf8").on("data", (text: string) => {
      clearTimeout(timer);
      timer = setTimeout(giveUp, HANG_MS);
      const lines = (rest + text).split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) this.#reports.push(JSON.parse(line) as Report);
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
  return (/^(?:\w*Error: |FATAL).*$/m.exec(text)?.[0] ?? text.trim().split("\n").at(-1) ?? "").slice(0, 300);
}
