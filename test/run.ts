/**
 * Runs the tests, in Node and in Chromium side by side.
 *
 *   npm test                      all of them
 *   npm test -- kernels/linear    the files whose path fits a regular expression
 *   npm test -- --node PATTERN    in Node only; --page: in Chromium only
 *   npm test -- --firefox PATTERN in the system's Firefox, on the system's Vulkan driver: test/support/firefox.ts
 *   npm run test:package          the packed package, installed in an empty folder, and the documentation with it
 *   npm run test:all              all of these but Firefox, of what was built last
 *   npm test -- --times PATTERN   and which files and tests took longest (processor time: on Linux)
 *
 * One line per file and environment, everything about failures, and `N passed, N failed` as the last line. The exit
 * code is 0 only if something ran in every environment and nothing failed.
 */
import { availableParallelism } from "node:os";
import { stripVTControlCharacters } from "node:util";
import type { Browser } from "playwright-core";
import { type Environment, testFiles } from "./run-files.ts";
import { firefoxSession, nodeSession, pageSession, type Session } from "./run-sessions.ts";
import type { FileResult } from "./run-suite.ts";
import { shortName, type Timed, timesTable } from "./run-times.ts";
import { openChromium, UNCHECKED } from "./support/chromium.ts";

const times = process.argv.includes("--times");
const flags = process.argv.slice(2).filter((arg) => arg.startsWith("--") && arg !== "--times");
const patterns = process.argv.slice(2).filter((arg) => !arg.startsWith("--"));
const pattern = new RegExp(patterns.join("|"));
const chosen = (["node", "package", "page", "firefox"] as const).filter((name) => flags.includes(`--${name}`));
if (chosen.length < flags.length) {
  console.error(`Unknown among ${flags.join(" ")}; there are --node, --page, --firefox, --package and --times`);
  process.exit(2);
}
/** A file keeps about one core busy, and memory is shared by all. */
const MOST_WORKERS = 2;
const environments: readonly Environment[] = chosen.length > 0 ? chosen : ["node", "page"];

const titles: Readonly<Record<Environment, string>> = {
  node: "Node",
  page: "Chromium",
  firefox: "Firefox",
  package: "Package",
};

/** What there is to run in an environment, and what came of it. */
interface Part {
  readonly environment: Environment;
  readonly files: readonly string[];
  /** Those that nobody has taken yet. */
  readonly waiting: string[];
  /** Whether a worker has begun. */
  begun: boolean;
  passed: number;
  failed: number;
  skipped: number;
}

const parts: Part[] = [];
for (const environment of environments) {
  const files = testFiles(environment, pattern, environments);
  // A pattern may fit files of one environment alone; without one, an environment without tests is a mistake.
  if (files.length === 0 && patterns.length > 0) continue;
  const part: Part = { environment, files, waiting: [...files], begun: false, passed: 0, failed: 0, skipped: 0 };
  parts.push(part);
  if (files.length === 0) fail(part, "There are no test files for it.");
}

const timed: Timed[] = [];
const workers = Math.min(availableParallelism(), MOST_WORKERS);
const started = performance.now();
await Promise.all(Array.from({ length: workers }, (_, i) => work([...parts.slice(i), ...parts.slice(0, i)])));

const total = { passed: 0, failed: 0 };
for (const { environment, files, passed, failed, skipped } of parts) {
  const more = skipped > 0 ? `, ${skipped} skipped` : "";
  console.log(`${titles[environment]}: ${passed} passed, ${failed} failed${more} in ${files.length} files`);
  total.passed += passed;
  total.failed += failed;
}
if (times) console.log(`\n${timesTable(timed)}\n`);
if (parts.length === 0) {
  console.log(`No test file fits ${patterns.join(" ")}`);
  total.failed += 1;
}
console.log(`${((performance.now() - started) / 1000).toFixed(0)} s\n`);
console.log(`${total.passed} passed, ${total.failed} failed`);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;

/**
 * Runs what is waiting of each part in turn. Workers begin with different parts, so that each has one process or page,
 * where all files share compiled pipelines; and help with the others' parts at the end.
 */
async function work(inTurn: readonly Part[]): Promise<void> {
  let browser: Browser | undefined;
  try {
    for (const part of inTurn) {
      if (part.waiting.length === 0) continue;
      // The files of that part share an installation.
      if (part.begun && part.environment === "package") continue;
      part.begun = true;
      try {
        // Each worker has a browser of its own: pages of one share its GPU process.
        if (part.environment === "page") browser ??= await openChromium([`--${UNCHECKED}`]);
        await run(part, sessionFor(part, browser));
      } catch (error) {
        fail(part, error instanceof Error ? (error.stack ?? error.message) : String(error));
      }
    }
  } finally {
    await browser?.close();
  }
}

function sessionFor({ environment, files }: Part, browser: Browser | undefined): Session {
  if (environment === "firefox") return firefoxSession(files, { index: 0, of: 1 });
  const sharers = parts.filter((part) => part.environment === "node" || part.environment === "page");
  const turn = { index: sharers.findIndex((part) => part.environment === environment), of: sharers.length };
  return browser && environment === "page"
    ? pageSession(browser, files, turn, times)
    : nodeSession(turn, environment === "package" ? "" : UNCHECKED, times);
}

/** Runs what is waiting of a part, and goes on in a fresh process or page after a file that ended it. */
async function run(part: Part, session: Session): Promise<void> {
  while (part.waiting.length > 0) {
    let current: string | undefined;
    let begun = performance.now();
    const next = () => {
      begun = performance.now();
      current = part.waiting.shift();
      return current;
    };
    const reason = await session(next, (result) => {
      current = undefined;
      count(part, result);
    });
    if (current !== undefined) {
      const report = `  ${reason ?? "It ended the run early."}\n`;
      const milliseconds = performance.now() - begun;
      count(part, { file: current, passed: 0, failed: 1, skipped: 0, milliseconds, report });
    } else if (reason !== undefined) throw new Error(`Between two files: ${reason}`);
  }
}

function count(part: Part, result: FileResult): void {
  part.passed += result.passed;
  part.failed += result.failed;
  part.skipped += result.skipped;
  timed.push({ environment: part.environment, result });
  printResult(part.environment, result);
}

function fail(part: Part, text: string): void {
  part.failed += 1;
  console.log(`✘ ${titles[part.environment]}: ${text}`);
}

function printResult(environment: Environment, { file, passed, failed, skipped, milliseconds, report }: FileResult) {
  const name = shortName(file).padEnd(36);
  const notes = `${failed > 0 ? `, ${failed} failed` : ""}${skipped > 0 ? `, ${skipped} skipped` : ""}`;
  const seconds = (milliseconds / 1000).toFixed(2).padStart(7);
  console.log(
    `${failed > 0 ? "✘" : "✓"} ${titles[environment].padEnd(8)} ${name}${seconds} s  ${passed} passed${notes}`,
  );
  // A page does not know where its report is printed, and colours it.
  if (report !== "") console.log(`\n${process.stdout.isTTY ? report : stripVTControlCharacters(report)}`);
}
