/**
 * Tries cases in a process of its own, which a case may end or hold up; reports them to the parent on descriptor 3.
 *   child.ts SEED RANGES MOST, where RANGES is JSON of a list of {@link Range}, and at most MOST cases wait for a report
 */
import { writeSync } from "node:fs";
import { filesOf, planOf, randomOf, spoilsNothing } from "./cases.ts";
import { type Outcome, overspent, tryFiles, UNSOUND } from "./outcome.ts";
import { targets } from "./targets.ts";

/** Cases of a target: the first, and the one after the last. */
export interface Range {
  readonly target: string;
  readonly first: number;
  readonly end: number;
}

/** What the parent is told of a case. */
export interface Report extends Outcome {
  readonly target: string;
  readonly index: number;
  readonly overspent: string | null;
}

const REPORTS = 3;
const EVERY_MS = 250;

const [seedText = "", ranges = "", most = ""] = process.argv.slice(2);
const seed = Number(seedText);
// Errors are made by the thousand, and of their stacks one line is told.
Error.stackTraceLimit = 1;
let waiting: string[] = [];
let toldAt = performance.now();

for (const range of JSON.parse(ranges) as readonly Range[]) await run(range);

async function run({ target: name, first, end }: Range): Promise<void> {
  const target = targets.find((each) => each.name === name);
  if (!target) throw new Error(`There is no target ${name}`);
  const sets = target.seeds();
  // What is done once, such as compiling and importing, belongs to no case.
  for (const files of new Set(sets)) {
    const outcome = await tryFiles(target, files, spoilsNothing);
    if (outcome.result !== "read") throw new Error(`${UNSOUND}, of ${name}: ${outcome.said}`);
  }
  for (let index = first; index < end; index++) {
    const files = filesOf(target, sets, planOf(target, sets.length, seed, index));
    const outcome = await tryFiles(target, files, randomOf(seed, index));
    report({ target: name, index, ...outcome, overspent: overspent(outcome, files) });
  }
  tell();
}

function report(report: Report): void {
  waiting.push(JSON.stringify(report));
  if (waiting.length >= Number(most) || performance.now() - toldAt > EVERY_MS) tell();
}

function tell(): void {
  if (waiting.length === 0) return;
  const bytes = new TextEncoder().encode(`${waiting.join("\n")}\n`);
  for (let at = 0; at < bytes.length; ) at += writeSync(REPORTS, bytes, at);
  waiting = [];
  toldAt = performance.now();
}
