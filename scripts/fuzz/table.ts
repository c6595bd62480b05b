/** The table of a night: a row per format, kept in a file whose other rows and words stay. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Summary } from "./supervise.ts";

const HEAD = [
  "| format | seed, cases | read | refused | slowest | most memory | faults |",
  "| --- | --- | --- | --- | --- | --- | --- |",
];

/** What a new file begins with. */
const WORDS = `# Fuzzing: what was tried

Written by \`npm run fuzz -- --count N --table bench/trust/fuzz.md\`, which changes the rows of the formats it ran and leaves the rest. *Cases* are numbered from 0 and made of the seed and their number alone; *slowest* is processor time and *most memory* what a process had at its peak beyond what it had before, each with its case; both are from one process on a machine with others' work on it. A fault is anything but a right result or a typed error, more than a second per 10 MB, or more than the files' size + 64 MB.

${HEAD.join("\n")}
`;

export function lineOf(summary: Summary): string {
  const { target, cases, faults, slowestMs, cpuMs } = summary;
  const numbers = `${cases} cases, ${readOf(summary)} read, refused: ${refusalsOf(summary)}`;
  const times = `at most ${Math.round(slowestMs.value)} ms, ${(cpuMs / cases).toFixed(2)} ms per case`;
  return `${target.padEnd(18)} ${numbers}, ${times}, ${faults.length} faults`;
}

/** Puts a target's row into the file, in the place of an earlier one. */
export function writeRow(path: string, seed: number, first: number, summary: Summary): void {
  const { target, cases, faults, slowestMs, mostMb } = summary;
  const from = first === 0 ? "" : ` from ${first}`;
  const cells = [
    target,
    `${seed}, ${cases.toLocaleString("en")}${from}`,
    readOf(summary).toLocaleString("en"),
    refusalsOf(summary),
    `${slowestMs.value.toFixed(0)} ms (${slowestMs.index})`,
    `${mostMb.value.toFixed(1)} MB (${mostMb.index})`,
    faults.length === 0 ? "0" : `${faults.length}: ${faults.map(({ index }) => index).join(", ")}`,
  ];
  const row = `| ${cells.join(" | ")} |`;
  const lines = (existsSync(path) ? readFileSync(path, "utf8") : WORDS).split("\n");
  const known = lines.findIndex((line) => line.startsWith(`| ${target} |`));
  const head = lines.indexOf(HEAD[1] as string);
  if (head < 0) throw new Error(`${path} has no table of this kind`);
  if (known >= 0) lines[known] = row;
  else {
    let end = head + 1;
    while (lines[end]?.startsWith("|")) end++;
    lines.splice(end, 0, row);
  }
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, lines.join("\n"));
}

function readOf({ results }: Summary): number {
  return results.get("read") ?? 0;
}

function refusalsOf({ results }: Summary): string {
  const refused = [...results].filter(([result]) => result !== "read" && result !== "fault");
  const codes = refused.sort(([, a], [, b]) => b - a).map(([code, times]) => `${code} ${times}`);
  return codes.join(", ") || "none";
}
