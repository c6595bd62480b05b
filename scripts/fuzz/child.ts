/**
 * Tries a range of cases in a process of its own, which a case may end or hold up; reports each to the parent.
 *   child.ts TARGET SEED FIRST END
 */
import { filesOf, planOf, randomOf, spoilsNothing } from "./cases.ts";
import { overspent, tryFiles } from "./outcome.ts";
import { targets } from "./targets.ts";

/** What the parent is told of a case. */
export interface Report {
  readonly index: number;
  readonly result: string;
  readonly said: string;
  readonly cpuMs: number;
  readonly grownMb: number;
  readonly overspent: string | null;
}

const [name, seed, first, end] = process.argv.slice(2);
const target = targets.find((each) => each.name === name);
if (!target || !process.send) throw new Error("Run scripts/fuzz.ts, which starts this");
const sets = target.seeds();

// What is done once, such as compiling and importing, belongs to no case.
for (const files of sets) {
  const outcome = await tryFiles(target, files, spoilsNothing);
  if (outcome.result !== "read") throw new Error(`A sound set of ${name} is refused: ${outcome.said}`);
}
for (let index = Number(first); index < Number(end); index++) {
  const files = filesOf(target, sets, planOf(target, sets.length, Number(seed), index));
  const outcome = await tryFiles(target, files, randomOf(Number(seed), index));
  const report: Report = { index, ...outcome, overspent: overspent(outcome, files) };
  process.send(report);
}
process.disconnect();
