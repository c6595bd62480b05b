/**
 * Random schedules of what goes wrong, in one process: aborts, ends in mid-work, lost devices, too little memory, full disks,
 * outputs in the way, files that change while they are read, processes that are killed. After each step the error must say
 * what to do, nothing may be held, and nothing half-written may lie under its final name; after each schedule the next load
 * must work and give the ids of before.
 *
 *   npm run faults                              100 schedules
 *   npm run faults -- --count 1000 --seed 7     as every night
 *   npm run faults -- --seed 7 --only 41        one schedule again
 *   npm run faults -- --works generate,fit      with these under way alone
 *   npm run faults -- --seconds 600             as many as begin in ten minutes
 *   npm run faults -- --out FILE                the table as Markdown
 *
 * The exit status is 1 if a promise was broken.
 */
import { writeFileSync } from "node:fs";
import { runFaults } from "./faults/run.ts";
import { works as known } from "./faults/works.ts";
import { readOptions, usageError, wholeNumber } from "./usage.ts";

const { values } = readOptions(import.meta.url, {
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "100" },
    only: { type: "string" },
    works: { type: "string" },
    seconds: { type: "string" },
    out: { type: "string" },
  },
});

const seed = wholeNumber("seed", values.seed);
const count = wholeNumber("count", values.count);
const { only } = values;
const works = values.works?.split(",");
const stranger = works?.find((name) => !known.some((each) => each.name === name));
if (stranger !== undefined) {
  usageError(`There is no work ${stranger}. They are ${known.map(({ name }) => name).join(", ")}`);
}
const indices = only === undefined ? Array.from({ length: count }, (_, i) => i) : [wholeNumber("only", only)];
const began = performance.now();
const { schedules, kinds, hasDisk } = await runFaults({
  seed,
  ...(values.seconds !== undefined && { seconds: wholeNumber("seconds", values.seconds) }),
  indices,
  works,
  onStep(index, kind, ended, isBroken) {
    if (isBroken) console.log(`✘ --seed ${seed} --only ${index}: ${kind}: ${ended}`);
    else if (only !== undefined) console.log(`${kind}: ${ended}`);
  },
});

const rows = kinds.map(({ name, outcomes, broken }) => {
  const ended = [...outcomes].sort(([, a], [, b]) => b - a);
  const steps = ended.reduce((sum, [, times]) => sum + times, broken.length);
  return `| ${name} | ${steps} | ${ended.map(([outcome, times]) => `${outcome} ${times}`).join(", ")} | ${broken.length} |`;
});
const lines = [
  "| what went wrong | steps | how they ended | broken promises |",
  "| --- | ---: | --- | ---: |",
  ...rows,
];
const broken = kinds.reduce((sum, kind) => sum + kind.broken.length, 0);
const { user, system } = process.cpuUsage();
const seconds = [(user + system) / 1e6, (performance.now() - began) / 1000].map((each) => each.toFixed(0));
const note = hasDisk ? "" : " No small disk could be mounted: full disks were not tried.";
const sentence = `${schedules} schedules of seed ${seed}: ${broken} broken promises; ${seconds[0]} s of processor time, ${seconds[1]} s.${note}`;
console.log([...lines, "", sentence].join("\n"));
if (values.out !== undefined) writeFileSync(values.out, [...lines, "", sentence, ""].join("\n"));
process.exit(broken > 0 ? 1 : 0);
