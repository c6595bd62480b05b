/**
 * Tries damaged, careless and hostile files and requests on everything that reads them: each is read rightly, or refused
 * with a typed error, within a second per 10 MB and the files' size + 64 MB.
 *
 *   npm run fuzz                                     2,000 cases of each format
 *   npm run fuzz -- --target gguf --count 100000     more of one
 *   npm run fuzz -- --count 100000 --table bench/trust/fuzz.md
 *                                                    a night's run, whose rows go into a table
 *   npm run fuzz -- --target gguf --seed 7 --only 4711 --keep FOLDER
 *                                                    one case again, its files written to a folder
 *
 * `--target` takes several names with commas; `--first` begins at another case than 0. The exit status is 1 if there was
 * a fault.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { filesOf, planOf, randomOf } from "./fuzz/cases.ts";
import { tryFiles } from "./fuzz/outcome.ts";
import { runRanges } from "./fuzz/supervise.ts";
import { lineOf, writeRow } from "./fuzz/table.ts";
import { targets } from "./fuzz/targets.ts";
import { readOptions, usageError, wholeNumber } from "./usage.ts";

const { values } = readOptions(import.meta.url, {
  options: {
    target: { type: "string" },
    seed: { type: "string", default: "1" },
    first: { type: "string", default: "0" },
    count: { type: "string", default: "2000" },
    table: { type: "string" },
    only: { type: "string" },
    keep: { type: "string" },
  },
});
const names = values.target?.split(",") ?? targets.map(({ name }) => name);
const chosen = names.map((name) => {
  const target = targets.find((each) => each.name === name);
  return target ?? usageError(`There is no target ${name}. They are ${targets.map((each) => each.name).join(", ")}`);
});
const [seed, first] = [wholeNumber("seed", values.seed), wholeNumber("first", values.first)];
const count = wholeNumber("count", values.count);

if (values.only !== undefined) await tryOne(wholeNumber("only", values.only), values.keep);
else await tryAll();

async function tryAll(): Promise<void> {
  let faults = 0;
  let cpuMs = 0;
  const ranges = names.map((target) => ({ target, first, end: first + count }));
  for await (const summary of runRanges(ranges, seed)) {
    console.log(lineOf(summary));
    for (const { index, what } of summary.faults.slice(0, 20)) {
      console.log(`  ✘ --target ${summary.target} --seed ${seed} --only ${index}: ${what}`);
    }
    if (values.table !== undefined) writeRow(values.table, seed, first, summary);
    faults += summary.faults.length;
    cpuMs += summary.cpuMs;
  }
  const seconds = (cpuMs / 1000).toFixed(0);
  console.log(
    `${chosen.length} formats, ${chosen.length * count} cases in ${seconds} s of processor, ${faults} faults`,
  );
  process.exitCode = faults > 0 ? 1 : 0;
}

async function tryOne(index: number, folder: string | undefined): Promise<void> {
  for (const target of chosen) {
    const sets = target.seeds();
    const plan = planOf(target, sets.length, seed, index);
    const files = filesOf(target, sets, plan);
    console.log(JSON.stringify(plan, null, 1));
    for (const [path, content] of folder === undefined ? [] : files) {
      const place = join(folder as string, path);
      mkdirSync(dirname(place), { recursive: true });
      writeFileSync(place, content);
    }
    console.log(await tryFiles(target, files, randomOf(seed, index)));
  }
}
