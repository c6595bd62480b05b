/**
 * Tries damaged, careless and hostile files on everything that reads them: each is read rightly, or refused with a
 * typed error, within a second per 10 MB and the files' size + 64 MB.
 *
 *   npm run fuzz                                     2,000 cases of each format
 *   npm run fuzz -- --target gguf --count 100000     more of one
 *   npm run fuzz -- --target gguf --seed 7 --only 4711 --keep FOLDER
 *                                                    one case again, its files written to a folder
 *
 * `--target` takes several names with commas. The exit status is 1 if there was a fault.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { filesOf, planOf, randomOf } from "./fuzz/cases.ts";
import { tryFiles } from "./fuzz/outcome.ts";
import { runTargets, type Summary } from "./fuzz/supervise.ts";
import { targets } from "./fuzz/targets.ts";

const { values } = parseArgs({
  options: {
    target: { type: "string" },
    seed: { type: "string", default: "1" },
    count: { type: "string", default: "2000" },
    only: { type: "string" },
    keep: { type: "string" },
  },
});
const names = values.target?.split(",") ?? targets.map(({ name }) => name);
const chosen = names.map((name) => {
  const target = targets.find((each) => each.name === name);
  if (!target) throw new Error(`There is no target ${name}. They are ${targets.map((each) => each.name).join(", ")}`);
  return target;
});
const [seed, count] = [wholeNumber("seed", values.seed), wholeNumber("count", values.count)];

if (values.only !== undefined) await tryOne(wholeNumber("only", values.only), values.keep);
else await tryAll();

function wholeNumber(name: string, text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new Error(`--${name} is ${text}; it must be a whole number below 10^9`);
  return Number(text);
}

async function tryAll(): Promise<void> {
  let faults = 0;
  for await (const summary of runTargets(
    chosen.map(({ name }) => name),
    seed,
    count,
  )) {
    console.log(lineOf(summary));
    for (const { index, what } of summary.faults.slice(0, 20)) {
      console.log(`  ✘ --seed ${seed} --only ${index}: ${what}`);
    }
    faults += summary.faults.length;
  }
  console.log(`${chosen.length} formats, ${chosen.length * count} cases, ${faults} faults`);
  process.exitCode = faults > 0 ? 1 : 0;
}

function lineOf({ target, cases, results, faults, worstMs }: Summary): string {
  const read = results.get("read") ?? 0;
  const refused = [...results].filter(([result]) => result !== "read" && result !== "fault");
  const codes = refused.sort(([, a], [, b]) => b - a).map(([code, times]) => `${code} ${times}`);
  const numbers = `${cases} cases, ${read} read, refused: ${codes.join(", ") || "none"}`;
  return `${target.padEnd(18)} ${numbers}, at most ${Math.round(worstMs)} ms, ${faults.length} faults`;
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
