/**
 * Tries cases in a process of its own, which a case may end or hold up; reports each to the parent.
 *   child.ts SEED RANGES, where RANGES is JSON of a list of {@link Range}
 */
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

const [seedText = "", ranges = ""] = process.argv.slice(2);
const seed = Number(seedText);

for (const range of JSON.parse(ranges) as readonly Range[]) await run(range);
process.disconnect();

async function run({ target: name, first, end }: Range): Promise<void> {
  const target = targets.find((each) => each.name === name);
  if (!target || !process.send) throw new Error("Run scripts/fuzz.ts, which starts this");
  const sets = target.seeds();
  // What is done once, such as compiling and importing, belongs to no case.
  for (const files of sets) {
    const outcome = await tryFiles(target, files, spoilsNothing);
    if (outcome.result !== "read") throw new Error(`${UNSOUND}, of ${name}: ${outcome.said}`);
  }
  for (let index = first; index < end; index++) {
    const files = filesOf(target, sets, planOf(target, sets.length, seed, index));
    const outcome = await tryFiles(target, files, randomOf(seed, index));
    const report: Report = { target: name, index, ...outcome, overspent: overspent(outcome, files) };
    process.send(report);
  }
}
