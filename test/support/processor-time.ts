/** Processor time of a process and all that it started, from Linux's /proc. */
import { readdirSync, readFileSync } from "node:fs";

/** Linux counts processor time in hundredths of a second, whatever the kernel's own clock. */
const TICKS_PER_SECOND = 100;
const SAMPLE_MS = 250;

/** The processor time that a process, its children and theirs have taken since the last look. */
export class ProcessorTime {
  readonly #pid: number;
  readonly #timer: NodeJS.Timeout;
  #seen = 0;
  #since = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#seen = ticksOfTree(pid);
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
  }

  /** Seconds since the last lap, or since the start. */
  lap(): number {
    this.#sample();
    const seconds = this.#since / TICKS_PER_SECOND;
    this.#since = 0;
    return seconds;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** A process that nobody waited for takes its time with it: then the sum falls, and counting goes on from there. */
  #sample(): void {
    const ticks = ticksOfTree(this.#pid);
    this.#since += Math.max(0, ticks - this.#seen);
    this.#seen = ticks;
  }
}

/** Ticks of all processes below one, and of those that they have waited for. */
function ticksOfTree(root: number): number {
  const children = new Map<number, number[]>();
  const ticks = new Map<number, number>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const fields = statOf(name);
    if (!fields) continue;
    const pid = Number(name);
    const parent = Number(fields[1]);
    children.set(parent, [...(children.get(parent) ?? []), pid]);
    // utime, stime, cutime, cstime
    ticks.set(
      pid,
      fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0),
    );
  }
  let sum = 0;
  const waiting = [root];
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    sum += ticks.get(pid) ?? 0;
    waiting.push(...(children.get(pid) ?? []));
  }
  return sum;
}

/** The fields of /proc/PID/stat after the name, from the state on; undefined if the process is gone. */
function statOf(pid: string): string[] | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, "utf8");
    return text.slice(text.lastIndexOf(")") + 2).split(" ");
  } catch (error) {
    if (["ENOENT", "ESRCH"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw error;
  }
}
