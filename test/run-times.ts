/** What `--times` prints: which files and tests take longest. */
import type { Environment } from "./run-files.ts";
import type { FileResult } from "./run-suite.ts";

const MOST_FILES = 60;
const MOST_TESTS = 60;

export interface Timed {
  readonly environment: Environment;
  readonly result: FileResult;
}

/** Tables of the files and tests by processor time (tests in a page: by wall time), longest first, and the sums of all. */
export function timesTable(all: readonly Timed[]): string {
  const files = all
    .map(({ environment, result }) => ({
      name: `${environment} ${shortName(result.file)}`,
      wall: result.milliseconds / 1000,
      processor: result.processorSeconds ?? 0,
    }))
    .sort((a, b) => b.processor - a.processor);
  const tests = all
    .flatMap(({ environment, result }) =>
      (result.tests ?? []).map(({ name, milliseconds, processorSeconds }) => ({
        name: `${environment} ${shortName(result.file)}: ${name}`,
        wall: milliseconds / 1000,
        processor: processorSeconds,
      })),
    )
    .sort((a, b) => (b.processor ?? b.wall) - (a.processor ?? a.wall));
  const lines = ["processor      wall  file"];
  for (const { name, wall, processor } of files.slice(0, MOST_FILES)) {
    lines.push(`${seconds(processor)} ${seconds(wall)}  ${name}`);
  }
  for (const environment of new Set(all.map((timed) => timed.environment))) {
    const own = files.filter(({ name }) => name.startsWith(`${environment} `));
    const sum = (pick: (file: (typeof files)[number]) => number) => own.reduce((total, file) => total + pick(file), 0);
    lines.push(
      `${seconds(sum((file) => file.processor))} ${seconds(sum((file) => file.wall))}  ${environment}: all ${own.length}`,
    );
  }
  lines.push("", "processor      wall  test");
  for (const { name, wall, processor } of tests.slice(0, MOST_TESTS)) {
    lines.push(`${processor === undefined ? " ".repeat(9) : seconds(processor)} ${seconds(wall)}  ${name}`);
  }
  return lines.join("\n");
}

/** `test/kernels/linear.test.ts` → `kernels/linear`. */
export function shortName(file: string): string {
  return file.replace(/^test\//, "").replace(/\.test\.ts$/, "");
}

function seconds(value: number): string {
  return `${value.toFixed(2).padStart(7)} s`;
}
