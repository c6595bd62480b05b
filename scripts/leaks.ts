/**
 * Repeats what may be repeated without end and looks for what stays: counts of what is held, heap and memory of the process.
 *
 *   npm run leaks                            1,000 rounds of each kind, 100 loads
 *   npm run leaks -- --only loads,refusals   some kinds
 *   npm run leaks -- --rounds 200            fewer, or more, of each
 *   npm run leaks -- --out FILE              the table as Markdown
 *
 * Each kind runs in a process of its own, interpreted; a quarter as many rounds warm it up. Growth is the slope of a
 * least-squares line through samples, each after a garbage collection. The exit status is 1 if a count differs, or a slope is
 * above 1 kB per round by more than twice its standard error.
 */
import { fork } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { allRounds } from "../test/support/rounds.ts";
import type { Growth } from "./leaks/child.ts";
import { type Slope, slopeOf } from "./leaks/slope.ts";
import { readOptions, usageError, wholeNumber } from "./usage.ts";

/** Bytes per round. */
const ALLOWED = 1000;

const { values } = readOptions(import.meta.url, {
  options: { only: { type: "string" }, rounds: { type: "string" }, out: { type: "string" } },
});
const names = values.only?.split(",") ?? allRounds.map(({ name }) => name);
for (const name of names) {
  if (!allRounds.some((each) => each.name === name)) {
    usageError(`There are no rounds "${name}". They are: ${allRounds.map((each) => each.name).join(", ")}`);
  }
}
const given = values.rounds === undefined ? undefined : wholeNumber("rounds", values.rounds, 10);

/** V8 goes on to compile hot functions for thousands of rounds, and forgets cold ones: its code is not ours, but in the heap. */
const INTERPRETED = ["--no-opt", "--no-sparkplug", "--no-flush-bytecode"];

function grow(name: string, rounds: number): Promise<Growth> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(new URL("./leaks/child.ts", import.meta.url)), [name, `${rounds}`], {
      execArgv: [...process.execArgv, "--expose-gc", ...INTERPRETED],
      // One arena of malloc's: with several, memory that is free counts as used for as long as another thread might want it.
      env: { ...process.env, MALLOC_ARENA_MAX: "1" },
    });
    child.on("message", (growth) => resolve(growth as Growth));
    child.on("exit", (code) => reject(new Error(`${name}: the process ended with status ${code}`)));
  });
}

const bytes = ({ perRound, error }: Slope): string => `${Math.round(perRound)} ± ${Math.round(error)}`;
const isLeak = ({ perRound, error }: Slope): boolean => perRound - 2 * error > ALLOWED;

const lines = [
  "| what | rounds | ms per round | heap, bytes per round | process, bytes per round | counts |",
  "| --- | ---: | ---: | ---: | ---: | --- |",
];
console.log(lines.join("\n"));
for (const { name, most } of allRounds.filter((each) => names.includes(each.name))) {
  const rounds = given ?? most;
  const { samples, before, after, msPerRound } = await grow(name, rounds);
  const heap = slopeOf(samples.map((sample) => [sample.round, sample.heap]));
  const rss = slopeOf(samples.map((sample) => [sample.round, sample.rss]));
  const differing = Object.entries(after).flatMap(([kind, count]) => {
    const earlier = before[kind as keyof typeof before];
    return count === earlier ? [] : [`${kind}: ${earlier} → ${count}`];
  });
  const counts = differing.length === 0 ? "equal" : differing.join(", ");
  const line = `| ${name} | ${rounds} | ${msPerRound.toFixed(1)} | ${bytes(heap)} | ${bytes(rss)} | ${counts} |`;
  console.log(line);
  lines.push(line);
  if (differing.length > 0 || isLeak(heap) || isLeak(rss)) process.exitCode = 1;
}
if (values.out !== undefined) writeFileSync(values.out, `${lines.join("\n")}\n`);
